/** The servers beside the default one that a core of these tests runs on: newer Redis, Valkey. */

/** Programs named in STREAMPIPELINE_REDIS_SERVERS, separated by blanks. */
export const otherServers: readonly string[] = (process.env['STREAMPIPELINE_REDIS_SERVERS'] ?? '')
  .split(/\s+/)
  .filter((path) => path !== '')
