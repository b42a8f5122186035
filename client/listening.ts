/** The events that a dispatcher's waits need: it listens from the first wait on, and moves when the pipeline's queue or dead letters do. */
import { queueKey } from '../redis/placement.ts'
import { type EventReader, readEvents } from './eventhub.ts'
import { deadLetterSource, queueSource, type RequestNews } from './events.ts'
import type { Links } from './links.ts'
import type { Plan } from './plan.ts'

interface Hearing {
  readonly heard: (news: RequestNews) => void
  /** The connection was lost, and is back: events may be missing. */
  readonly resumed: () => void
  readonly failed: (thrown: unknown) => void
}

interface Listening {
  /** Returns when events of the plan's pipeline are read. Throws catalogued errors; the next call tries again. */
  begin(plan: Plan): Promise<void>
  /** Whether events of the plan's pipeline are read. The readers follow the newest plan. */
  hears(plan: Plan): boolean
  end(): Promise<void>
}

const eventsOf = ({ config }: Plan): string => `${queueKey(config)}events`
const placeOf = (plan: Plan): string => [eventsOf(plan), plan.config.deadLetters].join(' ')

export function createListening(links: Links, hearing: Hearing): Listening {
  /** Ends of readers under way. */
  const leaving = new Set<Promise<void>>()
  let current: { readonly place: string; readonly readers: readonly EventReader[] } | undefined

  const leave = (readers: readonly EventReader[]) => {
    for (const reader of readers) {
      const ending = reader.stop().catch(hearing.failed)
      leaving.add(ending)
      void ending.finally(() => leaving.delete(ending))
    }
  }

  const readersFor = (plan: Plan): readonly EventReader[] => {
    const { deadLetters } = plan.config
    const events = eventsOf(plan)
    const place = placeOf(plan)
    if (current?.place === place) return current.readers
    const former = current?.readers ?? []
    const readers = [
      readEvents(links.events('Queue', plan, events), { ...hearing, source: queueSource(events) }),
      ...(deadLetters === undefined
        ? []
        : [readEvents(links.events('Stream', plan, deadLetters), { ...hearing, source: deadLetterSource(deadLetters) })]),
    ]
    current = { place, readers }
    leave(former)
    // From now on each wait for a request of the former place looks at the state by itself.
    if (former.length > 0) hearing.resumed()
    return readers
  }

  return {
    async begin(plan) {
      const readers = readersFor(plan)
      try {
        await Promise.all(readers.map(({ ready }) => ready))
      } catch (thrown) {
        // The next wait tries again.
        if (current?.readers === readers) current = undefined
        leave(readers)
        throw thrown
      }
    },
    hears: (plan) => current?.place === placeOf(plan),
    async end() {
      leave(current?.readers ?? [])
      await Promise.all(leaving)
    },
  }
}
