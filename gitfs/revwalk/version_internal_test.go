package revwalk

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/annal-git/annal/gitfs/object"
)

// TestVersionsOfFolders has a folder change at random: what was not in the tree before is
// visited, and little else.
func TestVersionsOfFolders(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		entries := map[string]string{} // by name: mode and the byte that fills the id
		var v version
		before := map[string]bool{}
		for range rapid.IntRange(1, 12).Draw(t, "versions") {
			for range rapid.IntRange(0, 6).Draw(t, "changes") {
				name := fmt.Sprintf("%c%d", rapid.RuneFrom([]rune("abc")).Draw(t, "letter"), rapid.IntRange(0, 30).Draw(t, "number"))
				if rapid.IntRange(0, 3).Draw(t, "remove") == 0 {
					delete(entries, name)
					continue
				}
				// Old programs have written modes with a zero in front.
				mode := rapid.SampledFrom([]string{"100644", "100755", "40000", "040000"}).Draw(t, "mode")
				entries[name] = mode + " " + string(rapid.RuneFrom([]rune("01234")).Draw(t, "id"))
			}
			names := make([]string, 0, len(entries))
			for name := range entries {
				names = append(names, name)
			}
			slices.Sort(names)
			var data strings.Builder
			now := map[string]bool{}
			for _, name := range names {
				mode, id, _ := strings.Cut(entries[name], " ")
				data.WriteString(mode + " " + name + "\x00" + strings.Repeat(id, 20))
				now[strings.TrimPrefix(mode, "0")+" "+name+" "+id] = true
			}
			visited := map[string]bool{}
			err := v.change([]byte(data.String()), func(link object.TreeLink) error {
				key := fmt.Sprintf("%o %s %c", link.Mode, link.Name, link.ID[0])
				if !now[key] || visited[key] || before[key] {
					return fmt.Errorf("visited %s: there %t, again %t, before %t", key, now[key], visited[key], before[key])
				}
				visited[key] = true
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			for key := range now {
				if !before[key] && !visited[key] {
					t.Fatalf("%s was passed over", key)
				}
			}
			before = now
		}
		if err := v.change([]byte("100644 cut"), func(object.TreeLink) error { return nil }); err == nil {
			t.Fatal("a tree that is cut off is taken")
		}
	})
}
