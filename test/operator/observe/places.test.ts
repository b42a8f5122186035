/** Places for open connections: never more open than there are, everyone gets a turn, and no namespace waits for another. */
import '../../support/leaks.ts'
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import fc from 'fast-check'
import { createPlaces, type Seat } from '../../../operator/observe/places.ts'
import { seed } from '../../support/seed.ts'

const never = new AbortController().signal

/** A connection that is open from a use until it sleeps; `most` is the largest number that were open at once. */
function connectionsOf() {
  const open = new Set<Seat>()
  let most = 0
  const seat = (closesAfter = 1): Seat => {
    const self: Seat = {
      async sleep() {
        for (let n = 0; n < closesAfter; n++) await turn()
        open.delete(self)
      },
    }
    return self
  }
  const use = (seats: readonly Seat[]) => {
    for (const each of seats) open.add(each)
    most = Math.max(most, open.size)
  }
  return { seat, use, open, most: () => most }
}

test('connections of a namespace share its places; those that fit stay open', async () => {
  const { seat, use, open, most } = connectionsOf()
  const places = createPlaces(4)
  const seats = Array.from({ length: 30 }, () => seat(2))
  const served: number[] = []
  const look = async (n: number) => {
    const mine = seats[n] ?? seat()
    const leave = await places.take('a', [mine], never)
    use([mine])
    await turn()
    served.push(n)
    leave?.()
  }
  await Promise.all(seats.map((_, n) => look(n)))
  assert.equal(most(), 4)
  assert.deepEqual(
    served.toSorted((a, b) => a - b),
    seats.map((_, n) => n),
  )
  const before = [...open]
  for (let round = 0; round < 3; round++) for (const each of before) await look(seats.indexOf(each))
  assert.deepEqual([...open], before)
})

test('a namespace that uses all its places keeps no other waiting, not even for a connection that both share', async () => {
  const { seat, use, open } = connectionsOf()
  const places = createPlaces(2)
  const [shared, ...others] = Array.from({ length: 5 }, () => seat())
  assert.ok(shared !== undefined)
  const first = await places.take('a', [shared], never)
  use([shared])
  first?.()
  const mine = await places.take('b', [shared], never)
  mine?.()
  const held = await Promise.all(others.slice(0, 2).map((each) => places.take('a', [each], never)))
  let waits = true
  const late = places.take('a', [others[2] ?? shared], never).then((leave) => {
    waits = false
    leave?.()
  })
  for (let n = 0; n < 5; n++) await turn()
  assert.ok(waits)
  assert.ok(open.has(shared), 'b has a place for it')
  const again = await places.take('b', [shared], never)
  again?.()
  for (const leave of held) leave?.()
  await late
})

test('a wait can be cancelled, one for two places is not passed over, and a closed connection frees its place', async () => {
  const { seat } = connectionsOf()
  const places = createPlaces(2)
  const [a, b, c, d, e] = Array.from({ length: 5 }, () => seat()) as [Seat, Seat, Seat, Seat, Seat]
  const leaveA = await places.take('n', [a], never)
  const leaveB = await places.take('n', [b], never)
  const stop = new AbortController()
  const off = places.take('n', [e], stop.signal)
  const two = places.take('n', [c, d], never)
  const order: string[] = []
  void two.then(() => order.push('two'))
  const one = places.take('n', [e], never)
  void one.then(() => order.push('one'))
  stop.abort()
  assert.equal(await off, undefined)
  leaveA?.()
  for (let n = 0; n < 5; n++) await turn()
  assert.deepEqual(order, [])
  places.forget(b)
  leaveB?.()
  const leaveTwo = await two
  assert.deepEqual(order, ['two'])
  leaveTwo?.()
  ;(await one)?.()
  assert.deepEqual(order, ['two', 'one'])
  const over = [places.takeNow('n', a), places.takeNow('n', b), places.takeNow('n', c)]
  for (const leave of over) leave()
})

test('whatever happens, all that wait are served and no more connections are open than there are places', async () => {
  const step = fc.record({
    namespace: fc.nat(2),
    seats: fc.uniqueArray(fc.nat(9), { minLength: 1, maxLength: 2 }),
    ms: fc.nat(3),
  })
  const property = fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 60 }), async (steps) => {
    const { seat, use, most } = connectionsOf()
    const places = createPlaces(3)
    const seats = Array.from({ length: 10 }, (_, n) => seat(n % 3))
    let served = 0
    await Promise.all(
      steps.map(async ({ namespace, seats: wanted, ms }) => {
        const mine = wanted.flatMap((n) => seats[n] ?? [])
        const leave = await places.take(`n${namespace}`, mine, never)
        use(mine)
        for (let n = 0; n < ms; n++) await turn()
        served += 1
        leave?.()
        leave?.()
      }),
    )
    assert.equal(served, steps.length)
    assert.ok(most() <= 9, `${most()}`)
  })
  await fc.assert(property, { numRuns: 100, seed })
})
