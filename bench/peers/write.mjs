// docs/benchmarks.md, .json and .svg and the table of the README, from one run.
import { writeFileSync } from 'node:fs'
import { at, markdown, replaceBetween, whereOf } from '../lib.mjs'
import { chart } from './chart.mjs'
import { targetsOf } from './targets.mjs'

/** What the README shows: scenario, and the heading of its column. */
const COLUMNS = { true: '`/bin/true` ms', node: '`node -e 0` ms', mcp: 'first MCP response ms', memory: 'memory MB' }

export function section({ title, rows, failed }) {
  const missing = Object.entries(failed).map(([who, why]) => `* ${who} cannot run this here: \`${why}\``)
  const parts = [`### ${title[0].toUpperCase()}${title.slice(1)}`, markdown(rows), missing.join('\n')]
  return parts.filter(Boolean).join('\n\n')
}

function overview({ scenarios, versions }) {
  const shown = Object.entries(COLUMNS).filter(([name]) => scenarios[name])
  return Object.keys(versions)
    .filter((name) => shown.some(([scenario]) => scenarios[scenario].rows.some((row) => row.name === name)))
    .map((name) => {
      const cells = shown.map(([scenario, heading]) => {
        const { unit, rows } = scenarios[scenario]
        return [heading, rows.find((row) => row.name === name)?.[`p50 ${unit}`] ?? '–']
      })
      return { name, ...Object.fromEntries(cells) }
    })
}

export function write(report) {
  const versions = Object.entries(report.versions)
    .filter(([, { version, missing }]) => version || missing)
    .map(([name, { version, missing }]) => `* ${name}: ${missing ?? version}`)
  const peers = [whereOf(report), versions.join('\n'), ...Object.values(report.scenarios).map(section)]
  replaceBetween('docs/benchmarks.md', 'peers', peers.join('\n\n'))
  replaceBetween('docs/benchmarks.md', 'targets', markdown(targetsOf(report)))
  replaceBetween('README.md', 'bench', `${whereOf(report)} Medians:\n\n${markdown(overview(report))}`)
  writeFileSync(at('docs/benchmarks.json'), `${JSON.stringify(report, null, 2)}\n`)
  const { true: start, mcp } = report.scenarios
  const panels = [start && [start, 'bubblewrap'], mcp && [mcp, 'bare']]
  writeFileSync(at('docs/benchmarks.svg'), chart(panels.filter(Boolean)))
}
