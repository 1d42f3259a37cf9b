// Whether measured figures are worse than a baseline, given that they are noisy.

/** The middle one; of an even number, the lower of the two. */
const middle = (values) => [...values].sort((a, b) => a - b)[Math.floor((values.length - 1) / 2)]

/**
 * Worse is what is above the baseline by more than the row's tolerance in the median of its repeats, and by more than half of it
 * in the best of them: one slow repeat is noise, and so is a median that others pull up while one repeat is as ever.
 * @param baseline by row: {value, tolerance}; @param repeats by row: what each repeat measured, a ratio or a count
 * @returns a verdict for each row: ok, worse, missing (of the measured) or new (to the baseline). Only ok and new are good.
 */
export function verdicts(baseline, repeats) {
  const known = Object.entries(baseline).map(([row, { value, tolerance }]) => {
    const measured = (repeats[row] ?? []).filter(Number.isFinite)
    if (measured.length === 0) return { row, baseline: value, tolerance, verdict: 'missing' }
    const [median, best] = [middle(measured), Math.min(...measured)]
    const isWorse = median > value * (1 + tolerance) && best > value * (1 + tolerance / 2)
    return { row, baseline: value, tolerance, median, best, verdict: isWorse ? 'worse' : 'ok' }
  })
  const others = Object.keys(repeats).filter((row) => !(row in baseline))
  return [...known, ...others.map((row) => ({ row, median: middle(repeats[row]), verdict: 'new' }))]
}

export const isGood = ({ verdict }) => verdict === 'ok' || verdict === 'new'
