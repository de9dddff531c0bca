import { once } from 'node:events';
import { createServer } from 'node:https';
import { text } from 'node:stream/consumers';
import * as v from 'valibot';
import type { Tls } from './tls.ts';

/** An AdmissionReview of the API server, with its identifying fields. */
export interface RecordedReview {
  readonly body: unknown;
  readonly kind: string;
  readonly subResource: string;
  readonly operation: string;
  readonly namespace: string;
  readonly name: string;
}

export interface ReviewRecorder {
  readonly url: string;
  /** All reviews since the last `take`. */
  readonly take: () => readonly RecordedReview[];
  readonly wasCalled: () => boolean;
  readonly stop: () => Promise<void>;
}

const schema = v.object({
  request: v.object({
    uid: v.string(),
    kind: v.object({ kind: v.string() }),
    subResource: v.optional(v.string(), ''),
    operation: v.string(),
    namespace: v.optional(v.string(), ''),
    name: v.optional(v.string(), ''),
  }),
});

/** Starts a webhook that allows and records all reviews. */
export async function startReviewRecorder(tls: Tls): Promise<ReviewRecorder> {
  const recorded: RecordedReview[] = [];
  let calls = 0;

  const server = createServer({ cert: tls.cert, key: tls.key }, (request, response) => {
    void text(request).then((json) => {
      const body: unknown = JSON.parse(json);
      const { uid, kind, ...rest } = v.parse(schema, body).request;
      calls += 1;
      recorded.push({ body, kind: kind.kind, ...rest });
      response.setHeader('content-type', 'application/json');
      response.end(
        JSON.stringify({
          apiVersion: 'admission.k8s.io/v1',
          kind: 'AdmissionReview',
          response: { uid, allowed: true },
        }),
      );
    });
  });
  // Does not keep the test process alive.
  server.unref();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('the recorder has no port');

  return {
    url: `https://127.0.0.1:${address.port}/clone-image`,
    take: () => recorded.splice(0),
    wasCalled: () => calls > 0,
    stop: async () => {
      server.close();
      server.closeAllConnections();
      if (server.listening) await once(server, 'close');
    },
  };
}
