/** What every measurement of the forward bench shares. */
import type { RedisServer } from '../../test/support/redis.ts'

export interface Bench {
  readonly server: RedisServer
  /** The program that consumes. */
  readonly program: string
  /** V8 flags of the consumer, as its image sets them. */
  readonly consumerFlags: readonly string[]
  readonly consumerEnvironment: Readonly<Record<string, string>>
  /** Folders of the programs of others, as far as they are there (peers.ts). */
  readonly peers?: { readonly modules?: string; readonly python?: string }
}
