// Shows the age of the relay of each service. Analytics does not know what a service has not published yet, so the
// browser asks the services. A page is complete without this script: it links to the answers.

const PAUSE = 30_000; // milliseconds

async function describe(address) {
  try {
    const answer = await (await fetch(address, { cache: 'no-store' })).json();
    if (answer.status === 'never') return 'has not published anything yet';
    if (answer.seconds === undefined) return 'does not know'; // such as while its database is unavailable
    const seconds = `${Math.round(answer.seconds)} s ago`;
    return answer.status === 'ready' ? `had published everything ${seconds}` : `last had published everything ${seconds}`;
  } catch {
    return 'does not answer';
  }
}

async function refresh() {
  const cells = [...document.querySelectorAll('[data-relay]')];
  await Promise.all(cells.map(async cell => (cell.textContent = await describe(cell.dataset.relay))));
}

refresh();
setInterval(refresh, PAUSE);
