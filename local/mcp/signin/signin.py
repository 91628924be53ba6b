"""The Python SDK signs in at MCP_URL, calls a tool and prints what it says, once for each
way to register in METHODS, separated by commas; an empty one names no method."""

import asyncio
import os
import urllib.error
import urllib.parse
import urllib.request

import httpx2
from mcp import Client
from mcp.client.auth import AuthorizationCodeResult, OAuthClientProvider
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.auth import OAuthClientMetadata


class Kept:
    """What the SDK keeps of a user."""

    tokens = client_info = None

    async def get_tokens(self):
        return self.tokens

    async def set_tokens(self, tokens):
        self.tokens = tokens

    async def get_client_info(self):
        return self.client_info

    async def set_client_info(self, client_info):
        self.client_info = client_info


class Browser(urllib.request.HTTPRedirectHandler):
    """Opens the provider's address and keeps where it is sent."""

    def redirect_request(self, *_):
        return None

    async def open(self, address):
        try:
            await asyncio.to_thread(urllib.request.build_opener(self).open, address)
        except urllib.error.HTTPError as answer:
            self.sent = answer.headers["Location"]

    async def callback(self):
        query = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(self.sent).query))
        return AuthorizationCodeResult(**query)


async def sign_in(method):
    url, callback, browser = os.environ["MCP_URL"], os.environ["CALLBACK"], Browser()
    registered = OAuthClientMetadata(client_name="test", redirect_uris=[callback], token_endpoint_auth_method=method or None)
    auth = OAuthClientProvider(url, registered, Kept(), browser.open, browser.callback)
    async with httpx2.AsyncClient(auth=auth) as http, Client(streamable_http_client(url, http_client=http)) as client:
        print((await client.call_tool("get_credits", {})).content[0].text)


async def main():
    for method in os.environ["METHODS"].split(","):
        await sign_in(method)


asyncio.run(main())
