"""How each study is drawn."""
