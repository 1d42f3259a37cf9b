// Three questions at once on the terminal, the last of which nobody answers in time: `ask-session.mjs DIST`.
const { askOnTerminal } = await import(`${process.argv[2]}/cli/ask.js`)

const ask = askOnTerminal()
const question = (host, port, ms) => {
  const commandLine = 'tool \x1b[31m\nqi-jail: all is well'
  return ask({ host, port, pid: 7, commandLine, until: Date.now() + ms, signal: AbortSignal.timeout(ms) })
}
const answers = [question('a.example', 443, 20_000), question('b.example', undefined, 20_000), question('::1', 80, 20)]
console.log('ANSWERS', JSON.stringify(await Promise.all(answers)))
