/**
 * `multipleOf` in decimal arithmetic: 19.99 is a multiple of 0.01, though its double is not. A double stands for the shortest decimal that
 * reads back as it, which is the one that its writer wrote. Decimals are divided exactly.
 */

interface Decimal {
  readonly digits: bigint
  readonly exponent: number
}

function decimalOf(value: number): Decimal {
  const [coefficient = '0', exponent = '0'] = String(value).split('e')
  const point = coefficient.indexOf('.')
  const fraction = point === -1 ? 0 : coefficient.length - point - 1
  return { digits: BigInt(coefficient.replace('.', '')), exponent: Number(exponent) - fraction }
}

/** The check for one divisor above 0, made once. */
export function createMultipleOf(divisor: number): (value: number) => boolean {
  const { digits, exponent } = decimalOf(divisor)
  const whole = Number.isSafeInteger(divisor)
  return (value) => {
    if (whole && Number.isSafeInteger(value)) return value % divisor === 0
    if (!Number.isFinite(value)) return false
    const given = decimalOf(value)
    const apart = given.exponent - exponent
    return apart >= 0
      ? (given.digits * 10n ** BigInt(apart)) % digits === 0n
      : given.digits % (digits * 10n ** BigInt(-apart)) === 0n
  }
}
