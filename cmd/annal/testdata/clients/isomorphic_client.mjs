// isomorphic-git. Usage: clone|shallow URL DIR, fetch DIR, push DIR REFSPEC.
import fs from 'node:fs'
import git from 'isomorphic-git'
import http from 'isomorphic-git/http/node'

const [command, ...args] = process.argv.slice(2)

async function main() {
  if (command === 'clone' || command === 'shallow') {
    const url = new URL(args[0])
    const [username, password] = [url.username, url.password].map(decodeURIComponent)
    url.username = url.password = ''
    await git.clone({
      fs, http, dir: args[1], url: url.toString(),
      ...(command === 'shallow' ? { depth: 1, singleBranch: true } : {}),
      onAuth: () => ({ username, password }),
    })
    await git.setConfig({ fs, dir: args[1], path: 'test.user', value: username })
    await git.setConfig({ fs, dir: args[1], path: 'test.secret', value: password })
    return
  }
  const dir = args[0]
  const username = await git.getConfig({ fs, dir, path: 'test.user' })
  const password = await git.getConfig({ fs, dir, path: 'test.secret' })
  const onAuth = () => ({ username, password })
  if (command === 'fetch') {
    await git.fetch({ fs, http, dir, remote: 'origin', tags: true, onAuth })
  } else {
    const [ref, remoteRef] = args[1].split(':')
    const result = await git.push({ fs, http, dir, remote: 'origin', ref, remoteRef, onAuth })
    if (!result.ok) throw new Error(JSON.stringify(result))
  }
}

main().catch((e) => {
  console.error(`${e.code || e.name}: ${e.message} ${JSON.stringify(e.data ?? '')}`)
  process.exit(1)
})
