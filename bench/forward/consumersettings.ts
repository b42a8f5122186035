/** Options of a bench for the settings of the consumer: V8's flags and malloc's variables, by default those of its image. */
import { mallocSettings, v8Flags } from '../../build/v8flags.ts'
import type { Bench } from './bench.ts'

const imageEnvironment = Object.entries(mallocSettings.consumer)
  .map(([variable, value]) => `${variable}=${value}`)
  .join(' ')

/** For `parseArgs`. */
export const consumerOptions = {
  'consumer-flags': { type: 'string', default: v8Flags.consumer },
  'consumer-env': { type: 'string', default: imageEnvironment },
} as const

const words = (text: string) => text.split(' ').filter((word) => word !== '')

export const consumerSettings = (
  values: Readonly<Record<keyof typeof consumerOptions, string>>,
): Pick<Bench, 'consumerFlags' | 'consumerEnvironment'> => ({
  consumerFlags: words(values['consumer-flags']),
  consumerEnvironment: Object.fromEntries(words(values['consumer-env']).map((pair) => pair.split('=', 2))),
})
