import { Hono } from 'hono';
import type { Section } from '../../../lib/status/index.ts';
import { formatStatusHtml } from './format-html.ts';

/** The page of one replica, as text for curl and as HTML for a browser. */
export function createStatusApp(readSections: () => readonly Section[]): Hono {
  const app = new Hono();

  app.use(async function onlyLocal(c, next) {
    // A website whose name is rebound to 127.0.0.1 reaches the port through a browser, but with its own name.
    if (!isLocal(c.req.header('host') ?? '')) {
      return c.text('misdirected: open http://localhost or http://127.0.0.1\n', 421);
    }
    await next();
    c.header('Cache-Control', 'no-store');
    c.header('X-Content-Type-Options', 'nosniff');
    c.header('Referrer-Policy', 'no-referrer');
    c.header('Content-Security-Policy', policy);
    return undefined;
  });
  app.get('/', (c) => c.redirect('/status'));
  app.get('/status', (c) => {
    const sections = readSections();
    const accepts = c.req.header('accept') ?? '';
    c.header('Vary', 'Accept');
    return accepts.includes('text/html')
      ? c.html(formatStatusHtml(sections))
      : c.text(formatStatusText(sections));
  });
  app.all('/status', (c) => {
    c.header('Allow', 'GET, HEAD');
    return c.text('method not allowed: the page is only read\n', 405);
  });
  app.notFound((c) => c.text('not found: the page is /status\n', 404));
  return app;
}

/** No script, and nothing from elsewhere. Inline styles cannot be injected, because `html` escapes every value. */
const policy =
  "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

function isLocal(host: string): boolean {
  return /^(localhost|127\.0\.0\.1|\[::1\])(:\d{1,5})?$/i.test(host);
}

function formatStatusText(sections: readonly Section[]): string {
  return sections
    .map(({ title, lines }) => `${[title, ...lines.map((line) => `  ${line}`)].join('\n')}\n`)
    .join('\n');
}
