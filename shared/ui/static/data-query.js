// Shows the sentence of the data query that a form answers. Analytics alone can say it: the key is a digest. The sentence is
// written as text, never as markup.

const SENTENCES = {
  unknown: 'This participant has no data query with this key. It may have closed since, because a fact was corrected or recorded.',
  explained: 'It has an explanation already.',
  failed: 'The data query cannot be shown here now.',
};

// Returns what to say about the data query with the key, by the list that analytics answered.
function describe(list, key) {
  const row = list.rows.find(row => row.query_key === key);
  if (!row) return list.next === null ? SENTENCES.unknown : SENTENCES.failed;
  return row.explained_by?.length && row.rule ? `${row.text} ${SENTENCES.explained}` : row.text;
}

async function show(place) {
  const answer = await fetch(place.dataset.queryList, { headers: { accept: 'application/json' } });
  place.textContent = answer.ok ? describe(await answer.json(), place.dataset.queryKey) : SENTENCES.failed;
}

for (const place of document.querySelectorAll('[data-query-key]')) {
  show(place).catch(() => (place.textContent = SENTENCES.failed));
}
