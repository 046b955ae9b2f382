// What a person does on the page, in Chromium. Arguments: the demo, the page of a wrong hub, the
// folder with the driver and, for who works on one case, a word of its name.
'use strict';
const fs = require('node:fs');
const path = require('node:path');

const [, , demo, wrong, driver, only] = process.argv;
const { chromium } = require(path.join(driver, 'node_modules/playwright-core'));
const axe = fs.readFileSync(path.join(driver, 'node_modules/axe-core/axe.min.js'), 'utf8');
const DESKTOP = { width: 1366, height: 900 };
const PHONE = { width: 390, height: 844 };

const problems = [];
let browser;

const check = (good, what) => {
  if (!good) problems.push(what);
};

// A page of a fresh browser profile, watched for errors and for requests that leave the page's host.
async function open(options = {}) {
  const context = await browser.newContext({ viewport: DESKTOP, ...options });
  const page = await context.newPage();
  page.setDefaultTimeout(20_000);
  page.on('console', (said) => {
    // A refusal that a case asks for is told in the console, too.
    const asked = said.text().includes('422');
    check(asked || !['error', 'warning'].includes(said.type()), `console: ${said.text()}`);
  });
  page.on('pageerror', (error) => problems.push(`script: ${error.message}`));
  page.on('request', (request) => {
    const ours = [demo, wrong].some((own) => request.url().startsWith(own));
    check(ours || request.url().startsWith('data:'), `asked elsewhere: ${request.url()}`);
  });
  return page;
}

async function judge(page, where) {
  await page.evaluate(`${axe}; undefined`);
  const found = await page.evaluate(() => window.axe.run(document, { resultTypes: ['violations'] }));
  for (const { id, impact, nodes } of found.violations) {
    if (!['serious', 'critical'].includes(impact)) continue;
    problems.push(`${where}: ${id} (${impact}): ${nodes[0].html.slice(0, 160)} ${nodes[0].failureSummary}`);
  }
  const wide = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
  check(wide <= 0, `${where}: ${wide} pixels wider than the screen`);
}

async function outcome(page) {
  await page.waitForSelector('#outcome .verdicts');
  return page.innerText('#outcome');
}

// Goes by the form's login button through the vendor's stand-in and back.
async function logIn(page, agree) {
  const [tab] = await Promise.all([page.waitForEvent('popup'), page.click('#send .oauth')]);
  await tab.waitForSelector(agree);
  await judge(tab, 'the page of the login');
  await tab.click(agree);
  await tab.waitForFunction(() => document.body.innerText.includes('close this tab'));
  await judge(tab, 'the end of the login');
  await tab.close();
  await page.click('#verify');
  await page.waitForSelector('#send-now:not([disabled])');
}

// Lets Looker forget what a login gave, in its way, and looks whether the form offers one again.
async function forgotten(page, action, how) {
  await page.goto(`${demo}looker`);
  await page.locator('#states tr', { hasText: action }).getByText(how, { exact: true }).click();
  await page.waitForURL(/looker$/);
  await page.goto(`${demo}?data=look:penguins&action=${action}`);
  check(await page.isVisible('#send .oauth'), `${action} offers a login after ${how}`);
  check(await page.isDisabled('#send-now'), `${action} cannot be sent to without a login`);
}

const cases = {
  async 'a first visit ends with a delivered file'() {
    const page = await open();
    await page.goto(demo);
    check((await page.innerText('h1')).includes('plays Looker'), 'the first line says what it is');
    await page.click('#look-penguins');
    await page.waitForSelector('#look-penguins[aria-current]');
    await page.click('#card-file');
    await page.getByLabel('Filename').fill('by-mouse');
    await page.selectOption('#format', 'csv');
    await page.click('#send-now');
    const text = await outcome(page);
    check(text.includes('answered 200: success'), `the hub's answer is told: ${text}`);
    check(text.includes('by-mouse.csv'), 'the delivered file is named');
    check(/Penguins Species\s+Penguins Island/.test(text), `the delivered file is shown: ${text}`);
    await page.click('#run-wire > summary');
    await page.click('#run-wire .exchange:last-child > summary');
    check(await page.isVisible('#run-wire .exchange:last-child .headers'), 'the exchange opens');
  },

  async 'a stand-in shows what it was told'() {
    const page = await open();
    await page.goto(`${demo}?data=look:customers&action=webhook`);
    await page.click('#send-now');
    const text = await outcome(page);
    check(text.includes('answered 200: success'), `a delivery without an account: ${text}`);
    // The hub may answer before the stand-in has noted the end of its own answer.
    const told = async () => (await page.innerText('body')).includes('What it was told: 1 request');
    for (let n = 0; n < 20 && !(await told()); n += 1) await page.reload();
    check(await told(), 'the request at the stand-in is shown');
  },

  async 'a login of version 2 leads to a file in the folder that was chosen'() {
    const page = await open();
    await page.goto(`${demo}?data=look:penguins&action=google_drive`);
    check(await page.isDisabled('#send-now'), 'nobody sends to Google Drive without a login');
    await logIn(page, 'text=Log in as Ana');
    await page.getByLabel('Select Fetch').selectOption({ label: 'Fetch' });
    await page.waitForFunction(() => [...document.querySelectorAll('#send option')].some((one) => one.text === 'Reports'));
    // The form is drawn anew with the folders below it.
    await page.evaluate(() => { document.querySelector('#send').dataset.old = 'yes'; });
    await page.locator('#send select', { hasText: 'Reports' }).selectOption({ label: 'Reports' });
    await page.waitForSelector('#send:not([data-old])');
    await page.getByLabel('Enter a filename').fill('by-login');
    await page.click('#send-now');
    const text = await outcome(page);
    check(text.includes('answered 200: success'), `it was delivered: ${text}`);
    check(text.includes('1ReportsFolderOfTests/by-login.csv'), `it is in the folder: ${text}`);
    await forgotten(page, 'google_drive', 'Reset');
  },

  async 'a login of version 1 leads to a file'() {
    const page = await open();
    await page.goto(`${demo}?data=look:penguins&action=dropbox`);
    await logIn(page, 'text=Log in as Ana');
    await page.click('#send-now');
    const text = await outcome(page);
    check(text.includes('answered 200: success'), `it was delivered: ${text}`);
    check(text.includes('/reports/orders.csv'), `the file is there: ${text}`);
    await forgotten(page, 'dropbox', 'Reset as "null"');
  },

  async 'a workspace is connected by Looker itself'() {
    const page = await open();
    await page.goto(`${demo}?data=look:penguins&action=slack_app`);
    await logIn(page, 'text=Connect T0ACME0001');
    check((await page.getByLabel('Workspace').locator('option:checked').innerText()) === 'Acme', 'the workspace is named');
    await page.click('#send-now');
    const text = await outcome(page);
    check(text.includes('answered 200: success'), `it was delivered: ${text}`);
    check(text.includes('C0EXPORTS1/orders.csv'), `the file is in the channel: ${text}`);
    check(text.includes('#exports: Here is Penguins.'), `the message is shown: ${text}`);
    await forgotten(page, 'slack_app', 'Forget');
  },

  async 'a vendor that fails is told as a failure'() {
    const page = await open();
    await page.goto(`${demo}?data=look:penguins&action=zapier`);
    await page.click('#faults > summary');
    await page.selectOption('#vendor_fault', 'lost');
    await page.click('#send-now');
    const text = await outcome(page);
    check(text.includes('answered 200: failure'), `a lost answer is no success: ${text}`);
    check(text.includes('its answer is lost'), 'what went wrong on purpose is named');
    // Whoever gets the link finds the fault set.
    await page.goto(new URL(await page.getAttribute('#again', 'href'), demo).href);
    check((await page.inputValue('#vendor_fault')) === 'lost', 'the fault can be handed on');
  },

  async 'a send can be watched and stopped'() {
    const page = await open();
    await page.goto(`${demo}?data=look:penguins&action=debug`);
    await page.click('#faults > summary');
    await page.selectOption('#fault', 'slow@2000');
    await page.click('#send-now');
    await page.waitForSelector('#cancel');
    const far = async () => (await page.innerText('#outcome .way')).match(/([\d.]+ (?:bytes|kB)) sent[\s\S]*?([\d.]+ m?s)/);
    const first = await far();
    await page.waitForFunction(
      ([bytes, seconds]) => {
        const text = document.querySelector('#outcome .way').innerText;
        return !text.includes(`${bytes} sent`) && !text.includes(seconds);
      },
      first.slice(1),
    );
    await page.click('#cancel');
    const text = await outcome(page);
    check(text.includes('gave no answer'), `it was stopped: ${text}`);
    await page.goto(`${demo}schedules`);
    check((await page.innerText('#schedules')).includes('aborted'), 'the history says so');
  },

  async 'an interactive form is drawn again, and red is what Looker mistakes'() {
    const page = await open();
    await page.goto(`${wrong}?data=look:customers&action=ledger`);
    await page.getByLabel('API key').fill('canary-of-the-browser');
    await page.click('button[value=enable]');
    await page.getByLabel('Path').fill('kept?');
    await page.getByLabel('Mode').selectOption('replace');
    await page.waitForSelector('#send .remark');
    const remark = await page.innerText('#send .remark');
    check(remark.includes('was told “kept?” for Path'), `what is lost is said: ${remark}`);
    check((await page.getByLabel('Mode').inputValue()) === 'replace', 'the choice came back');
    await page.getByLabel('Path').fill('out');
    await page.click('#send-now');
    const text = await outcome(page);
    check(text.includes('Looker takes this for a success, and it is none'), `red: ${text}`);
    check(!(await page.content()).includes('canary-of-the-browser'), 'the secret is not in the page');
  },

  async 'an exchange opens in its place, and is copied'() {
    const page = await open({ permissions: ['clipboard-read', 'clipboard-write'] });
    await page.goto(`${wrong}wire?call=execute`);
    await page.click('.exchange >> nth=0 >> summary');
    await page.waitForSelector('.exchange .sides');
    const text = await page.innerText('.exchange >> nth=0');
    check(text.includes('What Looker does with this') && text.includes('It takes this for a success'), `it is told: ${text}`);
    check(text.includes('The answer is empty.'), `the remark stands there: ${text}`);
    await page.click('.exchange-body a[href*=copy-title]');
    await page.click('.copy button >> nth=0');
    await page.waitForSelector('text=Copied');
    const copied = await page.evaluate(() => navigator.clipboard.readText());
    check(copied.startsWith('sendoff send '), `the command is copied: ${copied}`);
    const left = await page.innerText('.copies');
    check(left.includes('a URL that works once'), `why there is no curl line is said: ${left}`);
  },

  async 'the keyboard alone is enough'() {
    const page = await open();
    await page.goto(demo);
    const tab = async (selector) => {
      for (let n = 0; n < 150; n += 1) {
        await page.keyboard.press('Tab');
        if (await page.evaluate((wanted) => document.activeElement.matches(wanted), selector)) return;
      }
      throw new Error(`the keyboard does not reach ${selector}`);
    };
    await tab('#look-penguins');
    await page.keyboard.press('Enter');
    await page.waitForSelector('#look-penguins[aria-current]');
    const kept = await page.evaluate(() => document.activeElement.id);
    check(kept === 'look-penguins', `the keyboard stays where it was: ${kept}`);
    await tab('#find');
    await page.keyboard.type("hub's server");
    await page.waitForFunction(() => document.querySelectorAll('#cards a').length === 1);
    await tab('#card-file');
    await page.keyboard.press('Enter');
    await page.waitForSelector('#send-now');
    await tab('#send input');
    await page.keyboard.type('by-keyboard');
    await tab('#send-now');
    await page.keyboard.press('Enter');
    check((await outcome(page)).includes('success'), 'it was sent');
    await page.waitForFunction(() => document.activeElement.id === 'outcome-title');
  },

  async 'forms work without JavaScript'() {
    const page = await open({ javaScriptEnabled: false });
    await page.goto(`${demo}?data=look:penguins`);
    await page.fill('#find', 'webhook');
    await page.press('#find', 'Enter');
    await page.click('#card-webhook');
    await page.click('#send-now');
    await page.waitForURL(/run=/);
    // Driven so, Chromium leaves out what is meant for those without scripts, as is the page's own
    // looking again.
    for (let n = 0; n < 50 && !(await page.isVisible('.verdicts')); n += 1) await page.reload();
    check((await page.innerText('#outcome')).includes('success'), 'it was sent');
  },

  async 'SQL, a file and a cell can be sent'() {
    const page = await open();
    await page.goto(`${demo}?data=sql`);
    await page.fill('#sql', "SELECT '<b>bold</b>' AS email");
    await page.click('#run-sql');
    await page.waitForSelector('.grid');
    check((await page.innerText('.grid tbody')).includes('<b>bold</b>'), 'markup stays text');
    await page.click('#tab-file');
    const csv = { name: 'leads.csv', mimeType: 'text/csv', buffer: Buffer.from('email,n\na@b.example,1\n') };
    await page.setInputFiles('#file', csv);
    await page.click('.drop button');
    await page.waitForSelector('#table-leads[aria-current]');
    check((await page.innerText('.grid')).includes('a@b.example'), 'the file is data');
    await page.click('#single');
    await page.click('#cell-0\\.0');
    await page.waitForSelector('[id="cell-0.0"][aria-current]');
  },

  async 'every action can be tried without an account'() {
    const page = await open();
    await page.goto(`${demo}?data=look:customers`);
    const all = await page.evaluate(() => [...document.querySelectorAll('[id^=card-]')].map((card) => card.id.slice(5)));
    check(all.length > 25, `the catalogue is there: ${all}`);
    for (const action of all) {
      let suits = false;
      for (const look of ['customers', 'servers', 'companies']) {
        await page.goto(`${demo}?data=look:${look}&action=${action}`);
        suits = (await page.locator('#action > .notice.warn').count()) === 0;
        if (suits) break;
      }
      check(suits, `some data suits ${action}`);
      if ((await page.locator('#send .oauth').count()) > 0 && (await page.isDisabled('#send-now'))) {
        await logIn(page, action === 'slack_app' ? 'text=Connect T0ACME0001' : 'text=Log in as Ana');
      }
      await page.click('#send-now');
      const text = await outcome(page);
      check(text.includes('answered 200: success'), `${action}: ${text}`);
      const held = await page.innerText('#outcome .holds');
      check(action === 'debug' || !held.includes('Nothing stands there'), `${action} shows what came: ${held}`);
    }
  },

  async 'the hub is checked, and a large send is watched'() {
    const page = await open();
    await page.goto(`${demo}check`);
    await page.fill('#only', 'list');
    await page.click('button.primary');
    await page.waitForSelector('#check .figures');
    check((await page.innerText('#check')).includes('Nothing to mend'), 'the demo is right');
    await page.goto(`${demo}load`);
    await page.selectOption('#bytes', '10000000');
    await page.selectOption('#taker', 'webhook');
    await page.click('#start-load');
    await page.waitForSelector('#load .verdicts');
    const text = await page.innerText('#load');
    check(text.includes('10.0 MB') && text.includes('Nothing: it was sent'), `it arrived: ${text}`);
  },

  async 'nothing serious is in the way of anybody'() {
    const places = ['', '?action=webhook&data=look:customers', '?data=dashboard:shop', '?data=sql',
      '?data=table:', '?data=look:penguins&cell=0.0', 'schedules', 'wire', 'load', 'check', 'looker',
      'wire/1', 'runs/1'];
    for (const [size, viewport] of [['desktop', DESKTOP], ['phone', PHONE]]) {
      for (const colorScheme of ['light', 'dark']) {
        const page = await open({ viewport, colorScheme, reducedMotion: 'reduce' });
        for (const place of places) {
          await page.goto(demo + place);
          await page.evaluate(() => document.querySelectorAll('details').forEach((one) => { one.open = true; }));
          await judge(page, `/${place} on a ${size} in the ${colorScheme}`);
        }
        await page.context().close();
      }
    }
  },
};

// Made first and awaited last: it is due when the minute is full.
async function schedule() {
  const page = await open();
  await page.goto(`${demo}?data=look:penguins&action=webhook`);
  await page.click('#schedule-it');
  await page.fill('#cron', '* * * * *');
  await page.fill('#title', 'Every minute');
  await page.click('button.primary');
  await page.waitForURL(/schedules$/);
  return async () => {
    await page.waitForFunction(
      () => [...document.querySelectorAll('table')].some((table) => /success[\s\S]*Every minute[\s\S]*schedule\b/.test(table.innerText)),
      null,
      { timeout: 90_000 },
    );
  };
}

(async () => {
  browser = await chromium.launch({
    executablePath: '/usr/bin/chromium',
    args: ['--no-sandbox', '--disable-gpu', '--disable-background-networking', '--disable-dev-shm-usage'],
  });
  const all = Object.fromEntries(Object.entries(cases).filter(([name]) => !only || name.includes(only)));
  let fired;
  try {
    if (!only || 'a schedule fires'.includes(only)) fired = await schedule();
  } catch (error) {
    problems.push(`a schedule is made: ${error.message}`);
  }
  if (fired) all['a schedule fires'] = fired;
  let failed = 0;
  for (const [name, run] of Object.entries(all)) {
    try {
      await run();
    } catch (error) {
      problems.push(error.message);
    }
    const found = problems.splice(0);
    failed += found.length > 0 ? 1 : 0;
    console.log(`${found.length > 0 ? 'FAILED' : 'ok'}  ${name}`);
    found.forEach((problem) => console.log(`        ${problem}`));
  }
  await browser.close();
  process.exit(failed > 0 ? 1 : 0);
})();
