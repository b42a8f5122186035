/** Certificates and keys are judged before they are used: OpenSSL's own words would not say which Secret they came from. */
import { createPrivateKey, X509Certificate } from 'node:crypto'
import { createSecureContext } from 'node:tls'
import type { Reference, TlsTarget } from '../../api/compiled.ts'
import { failure } from '../../api/errors.ts'
import type { TlsAddress } from '../../redis/connect/references.ts'

/** Throws InvalidReference. */
export function checkTlsMaterial(target: TlsTarget | undefined, address: TlsAddress | undefined): void {
  if (target === undefined || address === undefined) return
  const { ca, cert, key } = address
  judge(target.ca, ca, 'it is no certificate in PEM form', (text) => new X509Certificate(text))
  judge(target.cert, cert, 'it is no certificate in PEM form', (text) => new X509Certificate(text))
  judge(target.key, key, 'it is no private key in PEM form', (text) => createPrivateKey(text))
  judge(target.key, key, 'it does not belong to the certificate', (text) => cert && createSecureContext({ cert, key: text }))
}

function judge(
  reference: Reference | undefined,
  text: string | undefined,
  detail: string,
  read: (text: string) => unknown,
): void {
  if (reference === undefined || text === undefined) return
  try {
    read(text)
  } catch (thrown) {
    throw failure('InvalidReference', { ...reference, detail }, thrown)
  }
}
