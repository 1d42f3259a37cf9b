// What the launcher is to cost, as ratios of medians of one run.

const p50 = (report, scenario, name) => {
  const { rows, unit } = report.scenarios[scenario] ?? { rows: [] }
  return rows.find((row) => row.name === name)?.[`p50 ${unit}`] ?? Number.NaN
}
const ratio = (scenario, name, to) => (report) => p50(report, scenario, name) / p50(report, scenario, to)
const WAYS = ['CLI, warm', 'program, warm', 'CLI, cold', 'API', 'API, pooled']
const [WARM, PROGRAM, COLD, API, POOLED] = WAYS.map((way) => `qi-jail ${way}`)

/**
 * `most` or `least`: the target. `value`: what it came to. `floor`: what who does nothing of what a jail is for comes to: below
 * that nobody gets with this kernel, and from where it is started.
 */
const TARGETS = [
  {
    what: 'CLI warm, `/bin/true`, × bubblewrap',
    most: 1,
    value: ratio('true', WARM, 'bubblewrap'),
    floor: ratio('true', 'floor, by a script', 'bubblewrap')
  },
  {
    what: 'CLI warm, its program, `/bin/true`, × bubblewrap',
    most: 1,
    value: ratio('true', PROGRAM, 'bubblewrap'),
    floor: ratio('true', 'floor', 'bubblewrap')
  },
  {
    what: 'API, `/bin/true`, × bubblewrap',
    most: 0.8,
    value: ratio('true', API, 'bubblewrap'),
    floor: ratio('true', 'floor', 'bubblewrap')
  },
  { what: 'API, `/bin/true`, × floor', most: 1.3, value: ratio('true', API, 'floor'), floor: () => 1 },
  {
    what: 'API pooled, `/bin/true`, × bubblewrap',
    most: 0.2,
    value: ratio('true', POOLED, 'bubblewrap'),
    floor: ratio('true', 'floor, waiting', 'bubblewrap')
  },
  {
    what: 'CLI cold, `/bin/true`, beyond bare `node -e 0`, ms',
    most: 25,
    value: (report) => p50(report, 'true', COLD) - p50(report, 'node', 'bare')
  },
  { what: 'first MCP response, CLI warm, × bare', most: 1.05, value: ratio('mcp', WARM, 'bare') },
  { what: 'memory added per jail, CLI, MB PSS', most: 2, value: (report) => p50(report, 'memory', WARM) },
  {
    what: '`getpid`, CLI, × bare',
    most: 1.15,
    value: ratio('getpid', WARM, 'bare'),
    floor: ratio('getpid', 'bare, any filter', 'bare')
  },
  { what: 'srt, same allow-list, × CLI warm', least: 5, value: ratio('http', 'srt', WARM) },
  { what: 'srt, `/bin/true`, × CLI warm', least: 5, value: ratio('true', 'srt', WARM) }
]

/** Rows for a table; a target whose contender could not run is not reached. */
export const targetsOf = (report) =>
  TARGETS.map(({ what, most, least, value, floor }) => {
    const came = value(report)
    const possible = floor?.(report) ?? Number.NaN
    const reached = most === undefined ? came >= least : came <= most
    return {
      what,
      target: most === undefined ? `≥ ${least}` : `≤ ${most}`,
      measured: Number.isNaN(came) ? 'not measured' : +came.toFixed(2),
      floor: Number.isNaN(possible) ? '–' : +possible.toFixed(2),
      reached: reached ? 'yes' : 'no'
    }
  })
