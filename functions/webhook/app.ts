import type { Context, Hono } from 'hono';
import { type AdmissionHandler, CloneError, type ReviewOptions } from '../../lib/index.ts';
import { maxBodyBytes, parseJson, readBody, readLength } from './body.ts';
import { createBodyQueue, hasTooManyParts, type Turn, toNoRoom } from './body-queue.ts';
import { type ConnectionEnv, createProbes, type ProbeDeps } from './probes.ts';

export interface AppDeps extends ProbeDeps {
  readonly review: AdmissionHandler;
  /** Whether reviews are taken only from who shows a certificate of `TLS_CLIENT_CA_FILE`. @default false */
  readonly demandsCertificate?: boolean;
}

const tooLarge = 'the AdmissionReview is larger than 8 MiB\n';
const defaultTimeoutMs = 10_000;
const maxTimeoutMs = 30_000;

const unitMs: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000 };

/** The routes; the server around them is `server.ts`. */
export function createApp(deps: AppDeps): Hono<ConnectionEnv> {
  const { review, demandsCertificate = false, logger } = deps;
  const app = createProbes(deps);
  const inTurn = createBodyQueue();

  // One handler for all of it: hono calls it at once, where it would make a chain of promises for two.
  app.all('/clone-image', async (c) => {
    if (c.req.method !== 'POST') {
      c.header('Allow', 'POST');
      return c.text('AdmissionReviews are sent by POST\n', 405);
    }
    if (demandsCertificate && !c.env.hasTrustedCertificate()) {
      // Of a 403 the API server repeats the body, of a 401 it does not.
      return c.text(
        'AdmissionReviews are taken only with a client certificate of the CA in TLS_CLIENT_CA_FILE\n',
        403,
      );
    }
    const type = c.req.header('content-type') ?? '';
    if (!/^application\/json\s*(;|$)/i.test(type)) {
      return c.text('an AdmissionReview is sent as content-type: application/json\n', 415);
    }
    const bytes = readLength(c);
    if (bytes !== undefined && bytes > maxBodyBytes) return c.text(tooLarge, 413);
    return await inTurn(bytes, (turn) => answer(c, bytes, turn));
  });

  async function answer(
    c: Context<ConnectionEnv>,
    bytes: number | undefined,
    turn: Turn,
  ): Promise<Response> {
    const text = await readBody(c, bytes, turn.over);
    if (text === undefined) return c.text(tooLarge, 413);
    if (hasTooManyParts(text)) {
      return c.text('the AdmissionReview has more parts than any object that can be stored\n', 413);
    }
    const options = toOptions(c, turn);
    try {
      return c.json(await begin(text, options));
    } catch (error) {
      if (error instanceof CloneError && error.code === 'INVALID_REVIEW') {
        return c.text(`${error.message}\n`, 400);
      }
      const uid = readUid(text);
      logger.error({ uid, err: error }, 'a review failed because of a bug');
      // kubectl shows a text/plain body; of a JSON one it says "unknown".
      return c.text(`internal error in image-cloner, its log says more about ${uid}\n`, 500);
    }
  }

  /** Not async, so that what was parsed is not kept for as long as the review takes. */
  function begin(text: string, options: ReviewOptions): ReturnType<AdmissionHandler> {
    return review(parseJson(text), options);
  }

  return app;
}

/** A body that had to wait for its turn has the less time for its review; whoever has next to none comes back. */
function toOptions({ req }: Context, { waitedMs, over }: Turn): ReviewOptions {
  const budgetMs = toBudgetMs(req.query('timeout'));
  const isLate = waitedMs > budgetMs / 2;
  return {
    // Asked for only where somebody waits: @hono/node-server makes a whole `Request` of it.
    get signal() {
      if (isLate) return AbortSignal.abort(toNoRoom());
      const { signal } = req.raw;
      return over === undefined ? signal : AbortSignal.any([signal, over]);
    },
    budgetMs: isLate ? budgetMs : budgetMs - waitedMs,
  };
}

/** The plain http port beside an HTTPS one: probes, and where reviews go instead. */
export function createProbeApp(
  deps: ProbeDeps & { readonly reviewPort: number },
): Hono<ConnectionEnv> {
  const app = createProbes(deps);
  app.all('/clone-image', (c) =>
    c.text(`AdmissionReviews are taken by https, on port ${deps.reviewPort}\n`, 403),
  );
  return app;
}

/** `?timeout=10s`, which the API server puts on the URL, less the time that the answer needs to get back. */
export function toBudgetMs(timeout: string | undefined): number {
  const match = /^(\d{1,6}(?:\.\d{1,6})?)(ms|s|m)$/.exec(timeout ?? '');
  const asked =
    match === null ? defaultTimeoutMs : Number(match[1]) * (unitMs[match[2] ?? ''] ?? 0);
  const timeoutMs = Math.min(asked === 0 ? defaultTimeoutMs : asked, maxTimeoutMs);
  const marginMs = Math.min(1_000, timeoutMs * 0.2);
  return timeoutMs - marginMs;
}

/** The uid of a body that made us fail, if it is one that can be shown. */
function readUid(body: string): string {
  const uid = /"uid":\s*"([\w-]{1,64})"/.exec(body);
  return uid?.[1] ?? 'a review without uid';
}
