// What all pages share. Every page works without it, but for what streams.
'use strict';

// A button with data-copy copies the text of the element that it names.
document.addEventListener('click', async (event) => {
  const button = event.target.closest('[data-copy]');
  if (!button) return;
  const source = document.getElementById(button.dataset.copy);
  const label = button.dataset.label || (button.dataset.label = button.textContent);
  try {
    await navigator.clipboard.writeText(source.textContent);
    button.textContent = 'Copied';
  } catch {
    button.textContent = 'Press Ctrl+C';
    getSelection().selectAllChildren(source);
  }
  setTimeout(() => { button.textContent = label; }, 2000);
});

// A link or button with data-dialog opens the dialog that it names, in the place of the page that it leads to.
document.addEventListener('click', (event) => {
  const opener = event.target.closest('[data-dialog]');
  if (opener) {
    const dialog = document.getElementById(opener.dataset.dialog);
    if (dialog) {
      event.preventDefault();
      dialog.showModal(); // the browser gives the focus back when it closes
    }
    return;
  }
  const closer = event.target.closest('[data-close]');
  if (closer) {
    event.preventDefault();
    closer.closest('dialog')?.close();
  }
});

// A dialog that came with data-open is open from the start: it has something to say, such as an error.
document.querySelectorAll('dialog[data-open]').forEach((dialog) => {
  dialog.removeAttribute('open');
  dialog.showModal();
});

// Menus close when the focus leaves them, on Escape, and when another opens.
document.addEventListener('keydown', (event) => {
  if (event.key !== 'Escape') return;
  const menu = event.target.closest('details.menu[open]');
  if (menu) {
    menu.open = false;
    menu.querySelector('summary').focus();
  }
});
document.addEventListener('focusout', (event) => {
  const menu = event.target.closest('details.menu[open]');
  if (menu && event.relatedTarget && !menu.contains(event.relatedTarget)) menu.open = false;
});
document.addEventListener('click', (event) => {
  document.querySelectorAll('details.menu[open]').forEach((menu) => {
    if (!menu.contains(event.target)) menu.open = false;
  });
});

// A form with data-confirm asks before it is sent. Without this script, its page asks.
document.addEventListener('submit', (event) => {
  const question = (event.submitter && event.submitter.dataset.confirm) || event.target.dataset.confirm;
  if (question && !confirm(question)) event.preventDefault();
});

// What is shown once is gone when the page is left: browsers keep pages as they were for the way back.
addEventListener('pagehide', () => document.querySelectorAll('[data-forget]').forEach((element) => { element.textContent = ''; }));

// What is refreshed on a timer rests while nobody looks.
document.addEventListener('htmx:confirm', (event) => {
  const every = event.target.getAttribute('hx-trigger') || '';
  if (document.hidden && every.includes('every')) event.preventDefault();
});
