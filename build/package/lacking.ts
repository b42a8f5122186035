/**
 * For the command line on Node 20 and 22: functions of the language that its sources use, and an older Node lacks. The bundler puts this
 * before each program. The library uses none of them, and changes nothing global.
 */
function lend<Owner extends object>(owner: Owner, name: string, value: (...given: never[]) => unknown): void {
  if (!(name in owner)) Object.defineProperty(owner, name, { value, configurable: true, writable: true })
}

lend(Promise, 'withResolvers', () => {
  let settle: [resolve: (value: unknown) => void, reject: (reason: unknown) => void] | undefined
  const promise = new Promise((resolve, reject) => {
    settle = [resolve, reject]
  })
  return { promise, resolve: settle?.[0], reject: settle?.[1] }
})

lend(Map, 'groupBy', (members: Iterable<unknown>, keyOf: (member: unknown, index: number) => unknown) => {
  const groups = new Map<unknown, unknown[]>()
  let index = 0
  for (const member of members) {
    const key = keyOf(member, index++)
    groups.set(key, [...(groups.get(key) ?? []), member])
  }
  return groups
})

lend(Array, 'fromAsync', async (members: AsyncIterable<unknown>, map: (member: unknown) => unknown = (member) => member) => {
  const found: unknown[] = []
  for await (const member of members) found.push(await map(member))
  return found
})

lend(URL, 'parse', (text: string) => {
  try {
    return new URL(text)
  } catch {
    return null
  }
})
