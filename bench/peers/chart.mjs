// Scenarios as horizontal bars, one above the other. Where contenders lie far apart the scale is logarithmic, and says so.
const WIDTH = 760
const ROW = 22
const LEFT = 150
const RIGHT = 130
const HEAD = 40
const FAR_APART = 20

const entity = (text) => text.replace(/[&<>"]/g, (char) => `&#${char.charCodeAt(0)};`)
const round = (value) => (value >= 100 ? value.toFixed(0) : value.toFixed(2))

function panel({ title, unit, rows }, top, against) {
  const values = rows.map((row) => row[`p50 ${unit}`])
  const [least, most] = [Math.min(...values), Math.max(...values)]
  const logarithmic = most > FAR_APART * least
  const part = (value) => (logarithmic ? Math.log((2 * value) / least) / Math.log((2 * most) / least) : value / most)
  const bars = rows.map((row, i) => {
    const value = row[`p50 ${unit}`]
    const y = top + HEAD + i * ROW
    const wide = ((WIDTH - LEFT - RIGHT) * part(value)).toFixed(1)
    const fill = row.name.startsWith('qi-jail') ? '#0a7f5a' : '#8a94a6'
    return [
      `<text x="${LEFT - 8}" y="${y + 15}" text-anchor="end">${entity(row.name)}</text>`,
      `<rect x="${LEFT}" y="${y + 4}" width="${wide}" height="${ROW - 8}" fill="${fill}"/>`,
      `<text x="${LEFT + Number(wide) + 6}" y="${y + 15}">${round(value)} ${entity(unit)} (${row[`× ${against}`]}×)</text>`
    ].join('\n')
  })
  const scale = logarithmic ? ', logarithmic' : ''
  const head = `<text x="8" y="${top + 24}" class="title">${entity(title)}: median${scale} (× ${against})</text>`
  return { text: [head, ...bars].join('\n'), height: HEAD + rows.length * ROW }
}

/** @returns an SVG document; readable on a light and on a dark page. @param panels [scenario, whom it is compared with] */
export function chart(panels) {
  let height = 0
  const texts = panels.map(([scenario, against]) => {
    const made = panel(scenario, height, against)
    height += made.height
    return made.text
  })
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${height + 10}" viewBox="0 0 ${WIDTH} ${height + 10}" role="img">
<title>What starting costs, beside other sandboxes</title>
<style>text { font: 12px sans-serif; fill: #24292f } .title { font-weight: bold } @media (prefers-color-scheme: dark) { text { fill: #d0d7de } }</style>
${texts.join('\n')}
</svg>
`
}
