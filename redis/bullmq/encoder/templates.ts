/**
 * Templates by what jobs have in common. Jobs without options of their own have few shapes, and each gets its template at once.
 * Producers may send requests with any options. So a template is made when the same options have come a few times, and the ones
 * that came longest ago are forgotten.
 */
import type { ForwardItem } from '../item.ts'
import { type JobShape, type OwnOptions, shapeOf } from './template.ts'

/** Making a template asks BullMQ for a few jobs. Asking for this many jobs one by one costs as much. */
const worthwhile = 3
/** Of one composer; a template takes about a kilobyte. */
const mostOwn = 500

interface Templates<Fill> {
  /** Undefined: BullMQ has to be asked. A promise only while the template is made, once for all that ask for it. */
  find(item: ForwardItem): Fill | undefined | Promise<Fill | undefined>
}

type Own<Fill> =
  | { readonly kind: 'Seen'; readonly times: number }
  | { readonly kind: 'Making'; readonly fill: Promise<Fill | undefined> }
  | { readonly kind: 'Made'; readonly fill: Fill | undefined }

/** @param make returns undefined where BullMQ's arguments cannot be foreseen */
export function createTemplates<Fill>(
  make: (shape: JobShape, own: OwnOptions | undefined) => Promise<Fill | undefined>,
): Templates<Fill> {
  const usual = new Map<JobShape, Fill | undefined | Promise<Fill | undefined>>()
  const owns = new Map<string, Own<Fill>>()

  const keep = (key: string, own: Own<Fill>) => {
    owns.delete(key)
    owns.set(key, own)
    const [oldest] = owns.keys()
    if (owns.size > mostOwn && oldest !== undefined) owns.delete(oldest)
  }

  const findOwn = (shape: JobShape, own: OwnOptions) => {
    const key = `${shape} ${own.hasFields} ${JSON.stringify([own.name, own.options])}`
    const known = owns.get(key) ?? { kind: 'Seen', times: 0 }
    switch (known.kind) {
      case 'Making':
      case 'Made':
        keep(key, known)
        return known.fill
      case 'Seen': {
        const times = known.times + 1
        if (times < worthwhile) {
          keep(key, { kind: 'Seen', times })
          return undefined
        }
        const forget = () => owns.delete(key)
        const fill = once(make(shape, own), (made) => keep(key, { kind: 'Made', fill: made }), forget)
        keep(key, { kind: 'Making', fill })
        return fill
      }
      default:
        return known satisfies never
    }
  }

  return {
    find(item) {
      const shape = shapeOf(item)
      if (shape === undefined) return undefined
      if (item.asked !== undefined) return findOwn(shape, ownOf(item.asked))
      if (usual.has(shape)) return usual.get(shape)
      const forget = () => usual.delete(shape)
      const fill = once(make(shape, undefined), (made) => usual.set(shape, made), forget)
      usual.set(shape, fill)
      return fill
    },
  }
}

/** Keeps what was made, and forgets what could not be, so that the next job tries again. */
async function once<Fill>(making: Promise<Fill>, keep: (made: Fill) => unknown, forget: () => unknown): Promise<Fill> {
  try {
    const made = await making
    keep(made)
    return made
  } catch (thrown) {
    forget()
    throw thrown
  }
}

/** Stands for each delay: the template fills it in. */
const anyDelay = 1

function ownOf({ name, options, fields }: NonNullable<ForwardItem['asked']>): OwnOptions {
  return {
    ...(name === undefined ? {} : { name }),
    options: (options.delay ?? 0) > 0 ? { ...options, delay: anyDelay } : options,
    hasFields: fields.length > 0,
  }
}
