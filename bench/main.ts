/**
 * `npm run bench`: `npm run bench -- NAME …` runs that bench with the rest of the arguments; without a name it is `forward`.
 *
 *   forward    the consumer beside other ways from a request to a job; latency; the library
 *   page       docs/performance.md from the run that it shows
 *   redis      memory of a mark, and the longest command that a batch causes
 *   consumer   the consumer's CPU for an entry, its latency under an even load, and V8's collections
 *   operator   many pipelines on a real API server
 */
const benches: Readonly<Record<string, () => Promise<unknown>>> = {
  forward: () => import('./forward/main.ts'),
  page: () => import('./page/main.ts'),
  operator: () => import('./operator/main.ts'),
  redis: () => import('./redis/main.ts'),
  consumer: () => import('./consumer/main.ts'),
}

const [name = ''] = process.argv.slice(2)
const named = benches[name]
if (named !== undefined) process.argv.splice(2, 1)
else if (name !== '' && !name.startsWith('-')) throw new Error(`no bench is called ${name}: ${Object.keys(benches).join(', ')}`)
await (named ?? benches['forward'])?.()
