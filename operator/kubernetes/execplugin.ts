/**
 * A plugin of a kubeconfig that prints credentials (client.authentication.k8s.io). It runs again once its credentials have ended, or once the API
 * server has refused them. It runs once at a time, however many requests wait for it, and cannot ask questions.
 *
 * https://kubernetes.io/docs/reference/access-authn-authz/authentication/#client-go-credential-plugins
 */
import { spawn } from 'node:child_process'
import { failure } from '../../api/errors.ts'
import { isRecord } from '../../api/validation/problem.ts'

type Fields = Readonly<Record<string, unknown>>

/** Undefined: not given. */
interface ExecCredentials {
  readonly token: string | undefined
  /** PEM. */
  readonly cert: string | undefined
  readonly key: string | undefined
}

export interface ExecPlugin {
  current(): Promise<ExecCredentials>
  /** The API server refused the last ones. */
  distrust(): void
}

const apiVersions = ['client.authentication.k8s.io/v1', 'client.authentication.k8s.io/v1beta1']
const longestMs = 60_000
/** Most characters of the plugin's error output that an error quotes. */
const mostText = 500
/** Characters of its output. A token and a certificate with its key have some 10,000. */
const mostOutput = 2 ** 20

const textOf = (value: unknown): string => (typeof value === 'string' ? value : '')

/**
 * @param exec the field of that name of the kubeconfig's user, its command located
 * @param cluster the cluster of the current context, in the form that plugins get; only plugins that ask for it get it
 * @throws InvalidOption for a plugin that kubectl would not run without a terminal either
 */
export function createExecPlugin(exec: Fields, cluster: () => Fields): ExecPlugin {
  const apiVersion = textOf(exec['apiVersion'])
  const mode = textOf(exec['interactiveMode']) || (apiVersion.endsWith('/v1beta1') ? 'IfAvailable' : '')
  const refuse = (detail: string) => failure('InvalidOption', { option: 'kubeconfig', detail: `its plugin ${detail}` })
  if (textOf(exec['command']) === '') throw refuse('has no command')
  if (!apiVersions.includes(apiVersion)) throw refuse(`has an apiVersion that is none of ${apiVersions.join(', ')}`)
  if (mode !== 'Never' && mode !== 'IfAvailable')
    throw refuse('has another interactiveMode than Never and IfAvailable: the operator has no terminal')

  let held: { readonly credentials: ExecCredentials; readonly untilMs: number } | undefined
  let running: Promise<ExecCredentials> | undefined

  async function renew(): Promise<ExecCredentials> {
    const spec = { interactive: false, ...(exec['provideClusterInfo'] === true ? { cluster: cluster() } : {}) }
    const info = JSON.stringify({ apiVersion, kind: 'ExecCredential', spec })
    const read = readCredential(await outputOf(exec, info), apiVersion)
    held = read
    return read.credentials
  }

  return {
    async current() {
      if (held !== undefined && Date.now() <= held.untilMs) return held.credentials
      running ??= renew().finally(() => {
        running = undefined
      })
      return await running
    },
    distrust() {
      held = undefined
    },
  }
}

function environmentOf(exec: Fields, info: string): NodeJS.ProcessEnv {
  const listed = Array.isArray(exec['env']) ? (exec['env'] as readonly unknown[]).filter(isRecord) : []
  const own = Object.fromEntries(listed.map((each) => [textOf(each['name']), textOf(each['value'])]))
  return { ...process.env, ...own, KUBERNETES_EXEC_INFO: info }
}

function outputOf(exec: Fields, info: string): Promise<string> {
  const command = textOf(exec['command'])
  const args = Array.isArray(exec['args']) ? (exec['args'] as readonly unknown[]).map(String) : []
  const hint = textOf(exec['installHint'])
  return new Promise((settle, refuse) => {
    const child = spawn(command, args, {
      env: environmentOf(exec, info),
      stdio: ['ignore', 'pipe', 'pipe'],
      // A group of its own, which ends as a whole.
      detached: true,
    })
    const said = { out: '', error: '' }
    child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
      if (said.out.length <= mostOutput) said.out += chunk
      if (said.out.length > mostOutput) stop(`${command} printed more than ${mostOutput} characters`)
    })
    child.stderr.setEncoding('utf8').on('data', (chunk: string) => {
      said.error = `${said.error}${chunk}`.slice(-mostText)
    })
    const end = (outcome: () => void) => {
      clearTimeout(deadline)
      outcome()
    }
    const stop = (why: string) => {
      endGroup(child.pid)
      refuse(new Error(why))
    }
    const deadline = setTimeout(() => stop(`${command} did not end within ${longestMs / 1000} s`), longestMs)
    child.once('error', (error) =>
      end(() => refuse(hint === '' ? error : new Error(`${error.message}: ${hint}`, { cause: error }))),
    )
    child.once('close', (code, signal) =>
      end(() => {
        if (code === 0) settle(said.out)
        else refuse(new Error(`${command} ended with ${code ?? signal}: ${said.error.trim()}`))
      }),
    )
  })
}

function endGroup(pid: number | undefined): void {
  if (pid === undefined) return
  try {
    process.kill(-pid, 'SIGKILL')
  } catch (thrown) {
    // It ended by itself meanwhile.
    if ((thrown as NodeJS.ErrnoException).code !== 'ESRCH') throw thrown
  }
}

/** Messages have no part of the output, which holds the credentials. */
function readCredential(output: string, apiVersion: string) {
  let printed: unknown
  try {
    printed = JSON.parse(output)
  } catch {
    // The parser's own message quotes the output.
    throw new Error('its output is no JSON')
  }
  if (!isRecord(printed) || printed['kind'] !== 'ExecCredential' || printed['apiVersion'] !== apiVersion)
    throw new Error(`its output is no ExecCredential of ${apiVersion}`)
  const status = isRecord(printed['status']) ? printed['status'] : {}
  const [token, cert, key] = ['token', 'clientCertificateData', 'clientKeyData'].map((name) => textOf(status[name]) || undefined)
  if (token === undefined && cert === undefined && key === undefined)
    throw new Error('its output has neither a token nor a certificate with its key')
  if ((cert === undefined) !== (key === undefined)) throw new Error('its output has only one of certificate and key')
  const untilMs = Date.parse(textOf(status['expirationTimestamp']))
  return { credentials: { token, cert, key }, untilMs: Number.isNaN(untilMs) ? Number.POSITIVE_INFINITY : untilMs }
}
