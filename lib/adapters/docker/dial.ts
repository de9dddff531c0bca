import type Docker from 'dockerode';

interface Dialer {
  dial(options: object, callback: (error: unknown, data: unknown) => void): void;
}

/** Calls the daemon. dockerode's own `distribution()` ignores the abort signal, so each registry that hangs would leak a request. */
export function dial({ modem }: Pick<Docker, 'modem'>, options: object): Promise<unknown> {
  const dialer: unknown = modem;
  if (!isDialer(dialer)) throw new TypeError('dockerode has no modem');
  const { promise, resolve, reject } = Promise.withResolvers<unknown>();
  dialer.dial(options, (error, data) => {
    if (error === null || error === undefined) resolve(data);
    else reject(error);
  });
  return promise;
}

function isDialer(value: unknown): value is Dialer {
  return typeof value === 'object' && value !== null && 'dial' in value;
}
