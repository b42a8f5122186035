/**
 * V8's and malloc's settings in the images, the one place: the Dockerfile's defaults are compared with them by a test, and the bench
 * measures under them. V8's reach Node as NODE_OPTIONS, so whoever needs others sets that variable on the container.
 *
 * A consumer holds little for long: a semi-space of 4 MiB lets batches die young, and 96 MiB of old space is far above its live
 * heap and keeps the whole process below 128 MiB (cli/images/consumer.ts sets how often that is collected). The operator's caches
 * grow with the pipelines. What it makes and drops outlives a round trip to Redis: with 4 MiB less of it is taken for old than with 2,
 * and the slowest of 200 changes among 1,000 pipelines, shortly after a start, waited for collections less (p99 70 and 85 ms, by
 * turns with 105 and 107).
 */
export const v8Flags = {
  operator: '--max-semi-space-size=4 --max-old-space-size=256',
  consumer: '--max-semi-space-size=4 --max-old-space-size=96',
} as const satisfies Record<string, string>

/**
 * glibc's (mallopt(3), which has the variables). One arena: its default, one per thread, costs 10 to 15 MiB of fragments. What the
 * operator's burst at the start allocates in pieces of 32 to 64 KiB (V8's compilers, to judge by the flags that make it less) would
 * stay with the process once it is free; mapped one by one it goes back to the system. With 1,000 pipelines, after 200 changes,
 * that was 153 to 159 MiB resident in place of 168 to 181. The consumer's peak did not change.
 */
export const mallocSettings = {
  operator: { MALLOC_ARENA_MAX: '1', MALLOC_MMAP_THRESHOLD_: '32768', MALLOC_TOP_PAD_: '16384' },
  consumer: { MALLOC_ARENA_MAX: '1' },
} as const satisfies Record<keyof typeof v8Flags, Record<string, string>>

export type ImageName = keyof typeof v8Flags

export const imageNames = Object.keys(v8Flags) as ImageName[]
