import type { Arguments, Command, Option } from '../shared/command-line/index.ts';

const file = (summary: string): Option => ({ type: 'text', value: 'FILE', summary });

export const webhook: Command = {
  name: 'webhook',
  summary: 'answer the API server; also what runs without a command',
  description:
    'Serves POST /clone-image, GET /readyz, /livez and /metrics until SIGTERM, then finishes the copies that run. Every other setting comes from the environment, see knative/configuration.md.',
  options: {
    port: { type: 'text', value: 'N', summary: 'port to listen on; wins over PORT (default 8080)' },
    'tls-cert-file': file('certificate chain in PEM, for HTTPS; wins over TLS_CERT_FILE'),
    'tls-private-key-file': file('its private key; wins over TLS_PRIVATE_KEY_FILE'),
  },
  exitCodes: { 0: 'drained after SIGTERM or SIGINT' },
  examples: [
    {
      command: 'image-cloner --port 8443 --tls-cert-file tls.crt --tls-private-key-file tls.key',
      explanation: 'HTTPS without a proxy in front',
    },
    {
      command: 'image-cloner webhook',
      explanation: 'plain http on PORT, behind a gateway that terminates TLS',
    },
  ],
  isServer: true,
  run: async (args) => (await import('./serve.ts')).serve(args),
};

/** Each flag sets the variable of the same name: `--tls-cert-file` sets `TLS_CERT_FILE`. */
export function toVariables({
  values,
}: Pick<Arguments, 'values'>): Readonly<Record<string, string>> {
  return Object.fromEntries(
    [...values].map(([name, value]) => [name.toUpperCase().replaceAll('-', '_'), value]),
  );
}
