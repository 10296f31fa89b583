// Connectors: pages that are shown in a dialog, and the preview of an icon. Without this script the links lead to the pages themselves.

const sheet = document.createElement('dialog');
sheet.id = 'sheet';
sheet.setAttribute('aria-labelledby', 'sheet-title');
document.body.append(sheet);
sheet.addEventListener('close', () => { sheet.replaceChildren(); });

// A link with data-sheet shows its page in a dialog. If that does not work, it is an ordinary link.
async function open(link) {
  try {
    const answer = await fetch(link.href, { headers: { 'HX-Request': 'true' }, redirect: 'error' });
    if (!answer.ok) throw new Error(String(answer.status));
    sheet.innerHTML = await answer.text(); // from our own templates, which escape
  } catch {
    location.href = link.href;
    return;
  }
  htmx.process(sheet);
  prepare(sheet);
  const menu = link.closest('details.menu');
  if (menu) { // what is not shown could not get the focus back
    menu.open = false;
    menu.querySelector('summary').focus();
  }
  sheet.showModal(); // the browser gives the focus back when it closes
  sheet.querySelector('input:not([type="radio"], [type="hidden"]), textarea')?.focus();
}

document.addEventListener('click', (event) => {
  const link = event.target.closest('a[data-sheet]');
  if (!link || event.button !== 0 || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
  event.preventDefault();
  open(link);
});

// The preview of an icon, and its limit, before it is sent. The server asks for the same.
function prepare(root) {
  for (const input of root.querySelectorAll('input[type="file"][data-most]')) {
    const preview = input.closest('.field').querySelector('[data-preview]');
    const stored = preview.getAttribute('src');
    input.addEventListener('change', () => {
      const file = input.files[0];
      const large = file && file.size > Number(input.dataset.most);
      input.setCustomValidity(large ? 'The icon is larger than 128 KB: choose a smaller image.' : '');
      if (large) input.reportValidity();
      if (preview.src.startsWith('blob:')) URL.revokeObjectURL(preview.src);
      if (file && !large) preview.src = URL.createObjectURL(file);
      else if (stored) preview.src = stored;
      else preview.removeAttribute('src');
      preview.hidden = !preview.hasAttribute('src');
    });
  }
}
prepare(document);

// What went wrong with a form that this script has sent is told in it, in the words of the page that the server has answered with.
function tell(event, otherwise) {
  const form = event.detail.elt.closest('form');
  if (!form) return;
  const answer = new DOMParser().parseFromString(event.detail.xhr?.responseText || '', 'text/html');
  const note = document.createElement('p');
  note.className = 'problem';
  note.setAttribute('role', 'alert');
  note.textContent = answer.querySelector('main p')?.textContent.trim() || otherwise;
  form.querySelectorAll(':scope > .problem').forEach((old) => old.remove());
  form.prepend(note);
  note.scrollIntoView({ block: 'nearest' });
}
document.addEventListener('htmx:responseError', (event) => tell(event, 'That did not work: try again.'));
document.addEventListener('htmx:sendError', (event) => tell(event, 'The server cannot be reached, or your session has ended: reload the page.'));

// A form that came back with problems is a new one.
document.addEventListener('htmx:afterSwap', (event) => prepare(event.detail.elt.closest('dialog') || document));
