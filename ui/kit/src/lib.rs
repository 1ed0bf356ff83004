//! What all pages share: layout, URLs as types, escaping, forms, style sheet.
