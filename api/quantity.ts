/**
 * Kubernetes quantities, as far as this resource uses them: byte sizes such as `256Ki`, `4Mi`, `1G`, `1e6`, `1.5Gi`. The
 * milli suffix is refused: a thousandth of a byte is always a slip (`256m` for `256Mi`).
 */

const quantityPattern = '^[0-9]+(\\.[0-9]+)?([eE][0-9]+|Ki|Mi|Gi|Ti|k|M|G|T)?$'

const suffixBytes: Readonly<Record<string, number>> = {
  Ki: 2 ** 10,
  Mi: 2 ** 20,
  Gi: 2 ** 30,
  Ti: 2 ** 40,
  k: 1e3,
  M: 1e6,
  G: 1e9,
  T: 1e12,
}

/** Bytes, rounded up as Kubernetes does, or undefined when the text is not a byte quantity. */
export function parseQuantity(text: string): number | undefined {
  const match = new RegExp(quantityPattern).exec(text)
  if (match === null) return undefined
  const suffix = match[2] ?? ''
  if (suffix === '' || /^[eE]/.test(suffix)) return Math.ceil(Number(text))
  return Math.ceil(Number(text.slice(0, -suffix.length)) * (suffixBytes[suffix] ?? 1))
}

/** `262144` → `256Ki`; the largest binary suffix that divides it, else plain bytes. */
export function formatQuantity(bytes: number): string {
  for (const suffix of ['Ti', 'Gi', 'Mi', 'Ki']) {
    const unit = suffixBytes[suffix] ?? 1
    if (bytes >= unit && bytes % unit === 0) return `${bytes / unit}${suffix}`
  }
  return String(bytes)
}
