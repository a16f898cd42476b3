package secrets

import (
	"bytes"
	"regexp"
)

// builtin is a rule that is always there.
type builtin struct {
	name     string
	keywords []string       // of at least minKeyword bytes, any of which begins a match
	pattern  *regexp.Regexp // of what begins with the keyword; anchored there
	inside   bool           // the keyword may stand within a word
	random   bool           // what was found must look random, for placeholders do not
}

// builtins are tokens by the forms that their services document. Each service has chosen
// its prefix so that it can be found.
var builtins = []builtin{
	{name: "AWS access key", keywords: []string{"AKIA", "ASIA", "ABIA", "ACCA"}, pattern: anchored(`[A-Z]{4}[A-Z2-7]{16}`), random: true},
	{name: "AWS secret access key", keywords: []string{"aws_secret_access_key", "AWS_SECRET_ACCESS_KEY", "SecretAccessKey", "secretAccessKey"}, inside: true, random: true,
		pattern: regexp.MustCompile(`^\w+["']?\s{0,8}(?:=>|[:=])\s{0,8}["']?[A-Za-z0-9/+]{40}(?:[^A-Za-z0-9/+=]|$)`)},
	{name: "Google API key", keywords: []string{"AIza"}, pattern: anchored(`AIza[0-9A-Za-z_-]{35}`), random: true},
	{name: "Google OAuth client secret", keywords: []string{"GOCSPX-"}, pattern: anchored(`GOCSPX-[0-9A-Za-z_-]{28}`), random: true},
	{name: "Google OAuth access token", keywords: []string{"ya29."}, pattern: anchored(`ya29\.[0-9A-Za-z_-]{30,300}`), random: true},
	{name: "GitHub token", keywords: []string{"ghp_", "gho_", "ghu_", "ghs_", "ghr_"}, pattern: anchored(`gh[pousr]_[A-Za-z0-9]{36,255}`), random: true},
	{name: "GitHub fine-grained token", keywords: []string{"github_pat_"}, pattern: anchored(`github_pat_[A-Za-z0-9]{22}_[A-Za-z0-9]{59}`), random: true},
	{name: "GitLab token", keywords: []string{"glpat-", "gldt-", "glrt-", "glptt-", "glcbt-", "glsoat-"}, pattern: anchored(`gl[a-z]+-[0-9A-Za-z_-]{20,300}`), random: true},
	{name: "Slack token", keywords: []string{"xoxa-", "xoxb-", "xoxe-", "xoxo-", "xoxp-", "xoxr-", "xoxs-", "xapp-"}, pattern: anchored(`x(?:ox[a-z]|app)-[0-9A-Za-z-]{20,250}`), random: true},
	{name: "Slack webhook", keywords: []string{"hooks.slack.com/"}, inside: true, pattern: anchored(`hooks\.slack\.com/(?:services|workflows|triggers)/[0-9A-Za-z+/]{40,80}`), random: true},
	{name: "Stripe key", keywords: []string{"sk_live_", "rk_live_"}, pattern: anchored(`[sr]k_live_[0-9A-Za-z]{20,250}`), random: true},
	{name: "npm token", keywords: []string{"npm_"}, pattern: anchored(`npm_[0-9A-Za-z]{36}`), random: true},
	{name: "PyPI token", keywords: []string{"pypi-AgE"}, pattern: anchored(`pypi-AgE[0-9A-Za-z_-]{50,500}`), random: true},
	{name: "Docker Hub token", keywords: []string{"dckr_pat_"}, pattern: anchored(`dckr_pat_[0-9A-Za-z_-]{27}`), random: true},
	{name: "DigitalOcean token", keywords: []string{"dop_v1_", "doo_v1_", "dor_v1_"}, pattern: anchored(`do[opr]_v1_[0-9a-f]{64}`), random: true},
	{name: "Shopify token", keywords: []string{"shpat_", "shpss_", "shpca_", "shppa_"}, pattern: anchored(`shp[a-z]{2}_[0-9a-fA-F]{32}`), random: true},
	{name: "Azure storage key", keywords: []string{"AccountKey="}, inside: true, pattern: regexp.MustCompile(`^AccountKey=[0-9A-Za-z+/]{86}==`), random: true},
	{name: "HashiCorp Vault token", keywords: []string{"hvs.", "hvb."}, pattern: anchored(`hv[sb]\.[0-9A-Za-z_-]{24,300}`), random: true},
	{name: "Anthropic key", keywords: []string{"sk-ant-"}, pattern: anchored(`sk-ant-[0-9A-Za-z]+-[0-9A-Za-z_-]{80,120}`), random: true},
	{name: "OpenAI key", keywords: []string{"sk-proj-", "sk-svcacct-"}, pattern: anchored(`sk-(?:proj|svcacct)-[0-9A-Za-z_-]{40,250}`), random: true},
	{name: "Bitbucket token", keywords: []string{"BBDC-"}, pattern: anchored(`BBDC-[0-9A-Za-z+/]{44}`), random: true},
	{name: "Annal token", keywords: []string{"annal_"}, pattern: anchored(`annal_[0-9A-Za-z_-]{30,100}`), random: true},
	{name: "age secret key", keywords: []string{"AGE-SECRET-KEY-1"}, pattern: anchored(`AGE-SECRET-KEY-1[0-9A-Z]{58}`), random: true},
	{name: "JSON Web Token", keywords: []string{"eyJhbGci", "eyJ0eXAi", "eyJraWQi", "eyJjdHki"}, random: true,
		pattern: regexp.MustCompile(`^eyJ[0-9A-Za-z_-]{10,800}\.eyJ[0-9A-Za-z_-]{10,1000}\.[0-9A-Za-z_-]{20,}`)},
	// A header alone is in every program that reads keys; with some of the key behind it,
	// on the next line or in a string that goes on, it is one.
	{name: "private key", keywords: []string{"-----BEGIN "}, inside: true, random: true,
		pattern: regexp.MustCompile(`^-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----(?:\\[nr]|\+[ \t\r\n]|[^0-9A-Za-z+/=-])*(?:[A-Za-z-]{4,20}: [^\n]{0,200}\s+)*[0-9A-Za-z+/=]{32,}`)},
}

// anchored is a pattern that begins where it is looked for and ends where a word does.
func anchored(pattern string) *regexp.Regexp {
	return regexp.MustCompile(`^` + pattern + `(?:[^0-9A-Za-z_]|$)`)
}

// minRandom is how many different bytes the second half of a secret has at least.
const minRandom = 7

// looksRandom tells secrets from what stands in their place in examples. The first half is
// left out of it: there the name is.
func looksRandom(match []byte) bool {
	if bytes.Contains(match, []byte("EXAMPLE")) {
		return false
	}
	var seen [256]bool
	different := 0
	for _, b := range match[len(match)/2:] {
		if !seen[b] {
			seen[b] = true
			different++
		}
	}
	return different >= minRandom
}
