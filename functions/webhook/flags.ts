import type { ArgumentSyntax, Arguments } from '../shared/arguments.ts';

/** The flags of the original image-cloner. */
export const syntax = {
  usage:
    'usage: webhook [--port N] [--tls-cert-file FILE --tls-private-key-file FILE]; every other setting comes from the environment, see knative/configuration.md',
  flags: { port: 'string', 'tls-cert-file': 'string', 'tls-private-key-file': 'string' },
} as const satisfies ArgumentSyntax;

/** Each flag sets the variable of the same name: `--tls-cert-file` sets `TLS_CERT_FILE`. */
export function toVariables({ values }: Arguments): Readonly<Record<string, string>> {
  return Object.fromEntries(
    [...values].map(([name, value]) => [name.toUpperCase().replaceAll('-', '_'), value]),
  );
}
