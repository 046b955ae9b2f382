// A browser that does as it is told: a JSON line in for each step, a JSON line out with what the
// tab shows then. Arguments: the folder with the driver and, for who wants to see them, one for pictures
// of what was shown.
'use strict';
const path = require('node:path');
const readline = require('node:readline');

const [, , driver, pictures] = process.argv;
const { chromium } = require(path.join(driver, 'node_modules/playwright-core'));
const PATIENCE = 60_000;

let browser;
// Each person has a browser profile, with cookies of its own; each may have several tabs.
const people = new Map();
const tabs = new Map();

async function profile(person) {
  if (!people.has(person)) {
    const context = await browser.newContext({ viewport: { width: 800, height: 500 } });
    context.setDefaultTimeout(PATIENCE);
    // The provider's pages ask for a font far away.
    await context.route(
      (url) => !['127.0.0.1', 'localhost'].includes(url.hostname),
      (route) => route.abort(),
    );
    people.set(person, context);
  }
  return people.get(person);
}

// What the tab shows, and the last address by which it came back from the provider.
async function shown(tab) {
  const { page } = tab;
  if (pictures) {
    const name = `${process.pid}-${Date.now()}-${(await page.title()).replace(/\W+/g, '-')}.png`;
    await page.screenshot({ path: path.join(pictures, name) });
  }
  return {
    url: page.url(),
    title: await page.title(),
    text: await page.innerText('body'),
    status: tab.status,
    callback: tab.callback,
  };
}

const steps = {
  async visit({ person, tab: name, url }) {
    if (!tabs.has(name)) {
      const tab = { page: await (await profile(person)).newPage(), status: 0, callback: '' };
      tab.page.on('request', (request) => {
        if (request.url().includes('/oauth_redirect?')) tab.callback = request.url();
      });
      tab.page.on('response', (response) => {
        const own = response.request().isNavigationRequest();
        if (own && response.frame() === tab.page.mainFrame()) tab.status = response.status();
      });
      tabs.set(name, tab);
    }
    const tab = tabs.get(name);
    await tab.page.goto(url);
    return shown(tab);
  },

  // The provider's login page. Ends on its page for consent.
  async log_in({ tab: name, user }) {
    const { page } = tabs.get(name);
    await page.fill('input[name=login]', user);
    await page.fill('input[name=password]', 'correct horse');
    await page.click('button[type=submit]');
    await page.waitForSelector('input[name=prompt][value=consent]', { state: 'attached' });
    return shown(tabs.get(name));
  },

  // The provider's page for consent. Ends where the browser is sent.
  async consent({ tab: name }) {
    const tab = tabs.get(name);
    const provider = new URL(tab.page.url()).origin;
    await tab.page.click('button[type=submit]');
    await tab.page.waitForURL((url) => url.origin !== provider);
    return shown(tab);
  },

  // Consents with the browser's cookies, but keeps the address to which the provider sends it.
  async consent_and_hold({ tab: name }) {
    const { page } = tabs.get(name);
    const { request } = page.context();
    const action = await page.getAttribute('form', 'action');
    let at = new URL(action, page.url());
    const held = { maxRedirects: 0 };
    let answer = await request.post(at.href, { form: { prompt: 'consent' }, ...held });
    for (let hops = 0; hops < 10; hops += 1) {
      const location = answer.headers().location;
      if (!location) break;
      at = new URL(location, at);
      if (at.pathname.endsWith('/oauth_redirect')) return { url: at.href };
      answer = await request.get(at.href, held);
    }
    throw new Error(`the provider did not send the browser back: ${await answer.text()}`);
  },

  // Not the browser's: whether the provider takes a token.
  async status({ url, token }) {
    const answer = await fetch(url, { headers: { authorization: `Bearer ${token}` } });
    return { status: answer.status };
  },

  // Not the browser's: a token is revoked, RFC 7009.
  async revoke({ url, client, secret, token }) {
    const authorization = `Basic ${Buffer.from(`${client}:${secret}`).toString('base64')}`;
    const body = new URLSearchParams({ token });
    const answer = await fetch(url, { method: 'POST', headers: { authorization }, body });
    return { status: answer.status };
  },
};

(async () => {
  browser = await chromium.launch({
    executablePath: '/usr/bin/chromium',
    args: ['--no-sandbox', '--disable-gpu', '--disable-background-networking', '--disable-dev-shm-usage'],
  });
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const step = JSON.parse(line);
    let said;
    try {
      said = await steps[step.step](step);
    } catch (error) {
      said = { error: `${step.step}: ${error.message}` };
    }
    process.stdout.write(`${JSON.stringify(said)}\n`);
  }
  await browser.close();
})();
