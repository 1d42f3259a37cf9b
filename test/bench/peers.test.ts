import { expect, test } from 'vitest'

const of = (name: string) => import(new URL(`../../bench/peers/${name}.mjs`, import.meta.url).href)
const { chart } = await of('chart')
const { targetsOf } = await of('targets')

const scenario = (unit: string, values: Record<string, number>) => ({
  title: 'made <up>',
  unit,
  failed: {},
  rows: Object.entries(values).map(([name, value]) => ({ name, [`p50 ${unit}`]: value, '× bubblewrap': value }))
})
const start = {
  bare: 1,
  bubblewrap: 10,
  floor: 6,
  'floor, by a script': 7,
  'floor, waiting': 1.5,
  srt: 60,
  'qi-jail CLI, warm': 10.01,
  'qi-jail API': 8
}

test('a target is reached up to its figure, not beyond, and not when nothing was measured', () => {
  const found = targetsOf({ scenarios: { true: scenario('ms', start) } })
  const row = (what: string) => found.find((one: { what: string }) => one.what.startsWith(what))
  expect(row('CLI warm')).toMatchObject({ target: '≤ 1', floor: 0.7, reached: 'no' })
  expect(row('API, `/bin/true`, × bubblewrap')).toMatchObject({ measured: 0.8, reached: 'yes' })
  expect(row('API, `/bin/true`, × floor')).toMatchObject({ measured: 1.33, reached: 'no' })
  expect(row('srt, `/bin/true`')).toMatchObject({ target: '≥ 5', measured: 5.99, floor: '–', reached: 'yes' })
  expect(row('API pooled')).toMatchObject({ measured: 'not measured', floor: 0.15, reached: 'no' })
})

test('bars are as long as their values, logarithmic where contenders lie far apart', () => {
  const lengths = (values: Record<string, number>) => {
    const svg = chart([[scenario('ms', values), 'bubblewrap']])
    expect(svg).toContain('made &#60;up&#62;')
    expect(svg.includes('logarithmic')).toBe(Math.max(...Object.values(values)) > 20)
    return [...svg.matchAll(/<rect [^>]*width="([\d.]+)"/g)].map(([, width]) => Number(width))
  }
  const [one, two] = lengths({ one: 1, two: 2 }) as [number, number]
  expect(two / one).toBeCloseTo(2, 1)
  const [least, middle, most] = lengths({ least: 1, middle: 10, most: 100 }) as [number, number, number]
  expect(middle - least).toBeCloseTo(most - middle, 0)
})
