/**
 * V8's and malloc's settings in the images, the one place. A test compares the Dockerfile's defaults with them, and the bench
 * measures under them. V8's settings reach Node as NODE_OPTIONS. Set that variable on the container for other ones.
 *
 * A consumer keeps little data for long. With a semi-space of 4 MiB, batches die young. 96 MiB of old space is far above its live
 * heap, and keeps the whole process below 128 MiB (cli/images/consumer.ts sets how often that is collected).
 *
 * The operator's caches grow with the pipelines. Its short-lived data outlives a round trip to Redis. With 4 MiB, less of it is
 * promoted than with 2. Of 200 changes among 1,000 pipelines, shortly after a start, the slowest waited less for collections: in
 * alternating runs p99 was 70 and 85 ms, and 105 and 107 ms with 2 MiB.
 */
export const v8Flags = {
  operator: '--max-semi-space-size=4 --max-old-space-size=256',
  consumer: '--max-semi-space-size=4 --max-old-space-size=96',
} as const satisfies Record<string, string>

/**
 * glibc's settings (mallopt(3) has the variables). One arena: the default, one per thread, costs 10 to 15 MiB of fragments.
 *
 * The operator's burst at its start allocates pieces of 32 to 64 KiB. They are probably of V8's compilers, since flags of these
 * reduce them. Freed pieces would stay with the process. Mapped one by one, they return to the system. With 1,000 pipelines,
 * after 200 changes, that was 153 to 159 MiB resident in place of 168 to 181. The consumer's peak did not change.
 */
export const mallocSettings = {
  operator: { MALLOC_ARENA_MAX: '1', MALLOC_MMAP_THRESHOLD_: '32768', MALLOC_TOP_PAD_: '16384' },
  consumer: { MALLOC_ARENA_MAX: '1' },
} as const satisfies Record<keyof typeof v8Flags, Record<string, string>>

export type ImageName = keyof typeof v8Flags

export const imageNames = Object.keys(v8Flags) as ImageName[]
