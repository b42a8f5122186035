/** The keyword that an author probably meant by a misspelt one. */
import { keywordNames } from './keywords.ts'

/** Longer names are no misspelt keyword, and comparing them would cost their length. */
const longest = 40

const bare = (name: string) => name.toLowerCase().replaceAll(/[^a-z$]/g, '')
const candidates = keywordNames.map((keyword) => ({ keyword, form: bare(keyword) }))

/** The number of typing errors within which a word of that length is still the same word. */
function allowance(length: number): number {
  if (length <= 3) return 0
  if (length <= 6) return 1
  return length <= 14 ? 2 : 3
}

export function likelyKeyword(name: string): string | undefined {
  if (name.length > longest) return undefined
  const form = bare(name)
  let best: { readonly keyword: string; readonly slips: number } | undefined
  for (const { keyword, form: wanted } of candidates) {
    const slips = form === wanted || `$${form}` === wanted || form === `$${wanted}` ? 0 : distance(form, wanted)
    if (slips > allowance(Math.min(wanted.length, form.length + 1))) continue
    if (best === undefined || slips < best.slips) best = { keyword, slips }
  }
  return best?.keyword
}

/** Edit distance: added, dropped or changed letters and swapped neighbours count one each (optimal string alignment). */
function distance(a: string, b: string): number {
  let before: number[] = []
  let previous = Array.from({ length: b.length + 1 }, (_, index) => index)
  for (let i = 1; i <= a.length; i++) {
    const row = [i]
    for (let j = 1; j <= b.length; j++) {
      const changed = (previous[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1)
      let least = Math.min((previous[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1, changed)
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) least = Math.min(least, (before[j - 2] ?? 0) + 1)
      row.push(least)
    }
    before = previous
    previous = row
  }
  return previous[b.length] ?? 0
}
