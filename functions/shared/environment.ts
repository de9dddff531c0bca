type Env = Readonly<Record<string, string | undefined>>;

/** Nobody calls a command: what is set for the webhook's ports is no concern of it, right or wrong. */
export function withoutListener(env: Env): Env {
  return Object.fromEntries(Object.entries(env).filter(([name]) => !/^(TLS_|PORT$)/.test(name)));
}
