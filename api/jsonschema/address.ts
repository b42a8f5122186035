/** URIs and JSON Pointers, as `$id` and `$ref` use them. */

/** The base of a schema without `$id`. */
export const payloadBase = 'streampipeline:///payload/schema'

export interface Address {
  /** Absolute, without fragment. */
  readonly resource: string
  /** Decoded; empty: the resource itself. */
  readonly fragment: string
}

/** Undefined: the text is no URI reference, or it is relative to a base without a path. */
export function resolveAddress(reference: string, base: string): Address | undefined {
  const mark = reference.indexOf('#')
  const uri = mark === -1 ? reference : reference.slice(0, mark)
  try {
    const fragment = mark === -1 ? '' : decodeURIComponent(reference.slice(mark + 1))
    return { resource: uri === '' ? base : new URL(uri, base).href, fragment }
  } catch (thrown) {
    if (thrown instanceof TypeError || thrown instanceof URIError) return undefined
    throw thrown
  }
}

export function pointerTo(pointer: string, ...steps: readonly (string | number)[]): string {
  return steps.reduce<string>((so, step) => `${so}/${String(step).replaceAll('~', '~0').replaceAll('/', '~1')}`, pointer)
}

/** The steps of a JSON Pointer that begins with a slash. */
export function stepsOf(pointer: string): string[] {
  return pointer
    .slice(1)
    .split('/')
    .map((step) => step.replaceAll('~1', '/').replaceAll('~0', '~'))
}
