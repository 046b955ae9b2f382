// All that the page does in the browser beyond htmx: it copies what stands in the box beside a button.
document.addEventListener('click', async ({ target }) => {
  const button = target.closest('[data-copies]');
  if (!button) return;
  await navigator.clipboard.writeText(document.getElementById(button.dataset.copies).textContent);
  button.textContent = 'Copied';
});
