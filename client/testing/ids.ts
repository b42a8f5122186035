/** Ids as Redis gives them: milliseconds and a number, always rising. */
export function createIds(now: () => number): () => string {
  let [last, number] = [-1, 0]
  return () => {
    const ms = Math.max(last, Math.floor(now()), 0)
    number = ms === last ? number + 1 : 0
    last = ms
    return `${ms}-${number}`
  }
}
