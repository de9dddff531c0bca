interface Dialer {
  dial(options: object, callback: (error: unknown, data: unknown) => void): void;
}

/** Calls the daemon. dockerode's own `distribution()` ignores the abort signal, so each registry that hangs would leak a request. */
export function dial({ modem }: { readonly modem: unknown }, options: object): Promise<unknown> {
  if (!isDialer(modem)) throw new TypeError('dockerode has no modem');
  const { promise, resolve, reject } = Promise.withResolvers<unknown>();
  modem.dial(options, (error, data) => {
    if (error === null || error === undefined) resolve(data);
    else reject(error);
  });
  return promise;
}

function isDialer(value: unknown): value is Dialer {
  return typeof value === 'object' && value !== null && 'dial' in value;
}
