/** One way to break a pipeline, the expected report, and the mending. */
import type { Redis } from 'ioredis'
import type { ConditionType } from '../../../api/status.ts'
import type { KeySpace } from '../../../redis/keys.ts'
import type { RedisServer } from '../../support/redis.ts'
import type { Cluster } from '../cluster.ts'

export interface Site {
  readonly cluster: Cluster
  /** Of the pipeline; its stream is `<name>:jobs`, its group and queue are `<name>`. */
  readonly name: string
  readonly namespace: string
  readonly keys: KeySpace
  /** A Redis in which nothing is wrong. */
  readonly redis: RedisServer
  readonly client: Redis
  /** Merges into the pipeline's spec. */
  patch(spec: object): Promise<void>
  object(apiVersion: string, kind: string, name: string, more: object): object
}

export interface Fault {
  /** The fault, in words. */
  readonly name: string
  /** A namespace of its own. */
  readonly alone?: true
  /** Before the pipeline exists. */
  readonly before?: (site: Site) => Promise<void>
  readonly spec?: (site: Site) => object
  /** Once its Deployment's pod exists, of which this is the name. */
  readonly after?: (site: Site, pod: string) => Promise<void>
  readonly type: ConditionType
  readonly reason: string
  /** Cause, object and remedy, each of which must be reported. */
  readonly reported: readonly RegExp[]
  readonly mend: (site: Site) => Promise<void>
}

/** For faults that are gone when the spec is corrected. */
export const corrected =
  (spec: object) =>
  async (site: Site): Promise<void> =>
    site.patch(spec)
