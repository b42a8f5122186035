/**
 * V8's settings in the images, the one place: the Dockerfile's defaults are compared with them by a test, and the bench measures
 * under them. They reach Node as NODE_OPTIONS, so whoever needs others sets that variable on the container.
 *
 * A consumer holds little for long: a semi-space of 4 MiB lets batches die young, and 96 MiB of old space is far above its live
 * heap and keeps the whole process below 128 MiB (cli/images/consumer.ts sets how often that is collected). The operator's caches grow with the pipelines; what it makes and drops
 * comes in small pieces, so a small semi-space costs it nothing and keeps it below 96 MiB at rest.
 */
export const v8Flags = {
  operator: '--max-semi-space-size=2 --max-old-space-size=256',
  consumer: '--max-semi-space-size=4 --max-old-space-size=96',
} as const satisfies Record<string, string>

export type ImageName = keyof typeof v8Flags

export const imageNames = Object.keys(v8Flags) as ImageName[]
