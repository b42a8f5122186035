/**
 * Places for open connections: each namespace has so many, and its connections share them in turn. A connection keeps its place between
 * two looks until another connection of the namespace needs it. So a namespace whose connections all fit reconnects never, and one with
 * thousands of servers holds no more sockets than its places.
 *
 *   Asleep ──take──▶ (in line) ──▶ Open, in use ──leave──▶ Open, idle ──another one waits──▶ Closing ──closed──▶ Asleep
 *
 * Several namespaces may share a connection. Each needs a place of its own for it, so none waits for another's. The sockets are closed
 * when the last of them gives its place up.
 */

/** A connection, as far as places are concerned. */
export interface Seat {
  /** Closes the sockets of the connection, which may be opened again at once. Resolves when they are closed; never rejects. */
  sleep(): Promise<void>
}

interface Places {
  /** Waits until all of these connections may be open. The function returned ends their use, once. Undefined when the signal aborts first. */
  take(namespace: string, seats: readonly Seat[], signal: AbortSignal): Promise<(() => void) | undefined>
  /** Does not wait, even if the namespace has no place left. */
  takeNow(namespace: string, seat: Seat): () => void
  /** The connection is closed for good. */
  forget(seat: Seat): void
}

interface Waiter {
  readonly seats: readonly Seat[]
  readonly enter: () => void
}

/** Places of one namespace. */
interface Row {
  /** Uses under way of each open connection; idle ones are in the order of their last use. */
  readonly open: Map<Seat, number>
  closing: number
  readonly line: Set<Waiter>
}

export function createPlaces(limit: number): Places {
  const rows = new Map<string, Row>()
  /** Namespaces in which a connection is open. */
  const holders = new Map<Seat, number>()

  function rowOf(namespace: string): Row {
    const row = rows.get(namespace) ?? { open: new Map<Seat, number>(), closing: 0, line: new Set<Waiter>() }
    rows.set(namespace, row)
    return row
  }

  function use(row: Row, seat: Seat): void {
    const uses = row.open.get(seat)
    if (uses === undefined) holders.set(seat, (holders.get(seat) ?? 0) + 1)
    row.open.set(seat, (uses ?? 0) + 1)
  }

  /** @returns whether the last namespace gave the connection up */
  function giveUp(row: Row, seat: Seat): boolean {
    row.open.delete(seat)
    const left = (holders.get(seat) ?? 1) - 1
    if (left > 0) holders.set(seat, left)
    else holders.delete(seat)
    return left === 0
  }

  function evict(namespace: string, row: Row, seat: Seat): void {
    if (!giveUp(row, seat)) return
    row.closing += 1
    void seat.sleep().finally(() => {
      row.closing -= 1
      serve(namespace, row)
    })
  }

  /** Whether these connections may be open. Idle ones make room for them, at once or when they are closed. */
  function isRoomFor(namespace: string, row: Row, seats: readonly Seat[]): boolean {
    const missing = seats.filter((seat) => !row.open.has(seat)).length
    if (missing === 0) return true
    const lacking = () => row.open.size + missing - limit
    for (const [seat, uses] of row.open) {
      if (lacking() <= 0) break
      if (uses === 0 && !seats.includes(seat)) evict(namespace, row, seat)
    }
    return lacking() + row.closing <= 0
  }

  function serve(namespace: string, row: Row): void {
    for (const waiter of row.line) {
      // The others wait behind it. Otherwise one that needs two places could wait for ever.
      if (!isRoomFor(namespace, row, waiter.seats)) break
      row.line.delete(waiter)
      waiter.enter()
    }
    if (row.open.size === 0 && row.closing === 0 && row.line.size === 0 && rows.get(namespace) === row) rows.delete(namespace)
  }

  function leaving(namespace: string, row: Row, seats: readonly Seat[]): () => void {
    let left = false
    return () => {
      if (left) return
      left = true
      for (const seat of seats) {
        const uses = row.open.get(seat)
        // Closed for good meanwhile.
        if (uses === undefined) continue
        row.open.delete(seat)
        row.open.set(seat, uses - 1)
        if (uses === 1 && row.open.size > limit) evict(namespace, row, seat)
      }
      serve(namespace, row)
    }
  }

  return {
    take(namespace, seats, signal) {
      if (signal.aborted) return Promise.resolve(undefined)
      const row = rowOf(namespace)
      const distinct = [...new Set(seats)]
      return waitIn(row.line, distinct, signal, {
        serve: () => serve(namespace, row),
        enter() {
          for (const seat of distinct) use(row, seat)
          return leaving(namespace, row, distinct)
        },
      })
    },
    takeNow(namespace, seat) {
      const row = rowOf(namespace)
      use(row, seat)
      return leaving(namespace, row, [seat])
    },
    forget(seat) {
      for (const [namespace, row] of rows) {
        if (!row.open.has(seat)) continue
        giveUp(row, seat)
        serve(namespace, row)
      }
    },
  }
}

interface Entrance {
  /** The line has changed. */
  readonly serve: () => void
  /** Returns the function that ends the use. */
  readonly enter: () => () => void
}

function waitIn(
  line: Set<Waiter>,
  seats: readonly Seat[],
  signal: AbortSignal,
  { serve, enter }: Entrance,
): Promise<(() => void) | undefined> {
  return new Promise((resolve) => {
    const giveUp = () => {
      line.delete(waiter)
      serve()
      resolve(undefined)
    }
    const waiter: Waiter = {
      seats,
      enter() {
        signal.removeEventListener('abort', giveUp)
        resolve(enter())
      },
    }
    signal.addEventListener('abort', giveUp, { once: true })
    line.add(waiter)
    serve()
  })
}
