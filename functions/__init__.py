"""Salvo: SMS verification codes from your own AWS account. Start reading at template.yaml, then handlers/api.py."""
