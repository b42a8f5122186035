/** A private certification authority with a server's and a client's certificate, and a second authority that signed nothing. */
import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'

const openssl = promisify(execFile)

export interface Certificate {
  readonly certFile: string
  readonly keyFile: string
  readonly cert: string
  readonly key: string
}

export interface Certificates {
  readonly ca: Certificate
  /** For 127.0.0.1 and the name `redis.test`. */
  readonly server: Certificate
  readonly client: Certificate
  readonly otherCa: Certificate
}

/** Makes them in `folder` with the openssl program. */
export async function makeCertificates(folder: string): Promise<Certificates> {
  const [ca, otherCa] = await Promise.all([authority(folder, 'ca'), authority(folder, 'other')])
  const [server, client] = await Promise.all([
    issue(folder, 'server', ca, 'subjectAltName=IP:127.0.0.1,DNS:redis.test'),
    issue(folder, 'client', ca, 'extendedKeyUsage=clientAuth'),
  ])
  return { ca, server, client, otherCa }
}

const authority = async (folder: string, name: string) =>
  await make(folder, name, ['-subj', `/CN=${name}`, '-addext', 'keyUsage=critical,keyCertSign'])

const issue = async (folder: string, name: string, ca: Certificate, extension: string) =>
  await make(folder, name, ['-subj', `/CN=${name}`, '-CA', ca.certFile, '-CAkey', ca.keyFile, '-addext', extension])

async function make(folder: string, name: string, more: readonly string[]): Promise<Certificate> {
  const [certFile, keyFile] = [join(folder, `${name}.crt`), join(folder, `${name}.key`)]
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-keyout', keyFile]
  await openssl('openssl', ['req', '-x509', '-days', '2', ...key, '-out', certFile, ...more])
  const [certText, keyText] = await Promise.all([readFile(certFile, 'utf8'), readFile(keyFile, 'utf8')])
  return { certFile, keyFile, cert: certText, key: keyText }
}
