/** Credentials that stay as they are. */
import type { CredentialSource, Credentials } from '../../operator/kubernetes/credentials.ts'

export const fixedSource = (credentials: Credentials): CredentialSource => ({
  namespace: undefined,
  current: async () => credentials,
  distrust: () => undefined,
})
