"""Serves certificates to anybody who has their link, without a token: page, PDF, credential, keys, status lists."""

from collections.abc import Callable, Coroutine
from typing import Annotated, Any
from urllib.parse import urlsplit

from fastapi import APIRouter, Depends, Path, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException

from worker.certificates.reads import IssuedCertificate
from worker.errors import ProgressError
from worker.web.api.certificates import CREDENTIAL, answer_credential, answer_pdf
from worker.web.api.responses import answer_unchanged, tag_content
from worker.web.certificates import CertificateService
from worker.web.limits import count_visit
from worker.web.pages.render import Templates
from worker.web.pages.routes import render_problem, static_router
from worker.web.pages.verify import build_verify_page
from worker.web.problems import Problem, problem_response, to_problem
from worker.web.readers import CertificatesDep

NOINDEX = {"X-Robots-Tag": "noindex, nofollow"}
# For verifiers that run in another website's page: it is public, and no cookie counts here.
ANYWHERE = {"Access-Control-Allow-Origin": "*", "Cross-Origin-Resource-Policy": "cross-origin"}
FRESH = {"Cache-Control": "public, max-age=300"}  # as the status lists' own `ttl` says
LIST_TYPE = CREDENTIAL


def public_router(service: CertificateService) -> APIRouter:
    """Returns the routes of the public pages, below the path of PROGRESS_PUBLIC_URL."""
    templates = Templates("worker.web.pages", login=None, issuer=service.settings.certificate_issuer)
    path = urlsplit(service.public_url).path.rstrip("/")
    router = APIRouter(include_in_schema=False)
    router.include_router(static_router())
    public = APIRouter(prefix=path, dependencies=[Depends(count_visit)], route_class=_public_route(templates))
    _add_pages(public, templates)
    _add_files(public, "/did.json" if path else "/.well-known/did.json")
    router.include_router(public)
    return router


def _add_pages(router: APIRouter, templates: Templates) -> None:
    @router.get("/verify/{code}")
    async def verify(request: Request, service: CertificatesDep, code: str) -> Response:
        found = await service.reads.find(code.lower())  # typed from paper, it may begin with a capital
        if found is None:
            raise Problem(404, "no certificate has this code")
        page = build_verify_page(found, service.build_link(found.certificate.code), service.settings.certificate_issuer)
        answer = (
            JSONResponse(page.to_json()) if wants_json(request) else templates.render("verify", page=page, caller=None)
        )
        headers = {"ETag": tag_content(bytes(answer.body)), "Cache-Control": "no-cache", "Vary": "Accept"}
        answer.headers.update(headers)
        return answer_unchanged(request, headers) or answer


def _add_files(router: APIRouter, did_path: str) -> None:
    @router.get("/verify/{code}/certificate.pdf")
    async def pdf(request: Request, service: CertificatesDep, found: ListedDep) -> Response:
        return await answer_pdf(request, service, found)

    @router.get("/verify/{code}/credential")
    async def credential(request: Request, found: ListedDep) -> Response:
        return answer_credential(request, found, **ANYWHERE)

    @router.get("/credentials/status/{number}")
    async def status_list(
        request: Request, service: CertificatesDep, number: Annotated[str, Path(pattern="^[0-9]{1,10}$")]
    ) -> Response:
        found = await service.reads.read_status_list(int(number))
        if found is None:
            raise Problem(404, "there is no status list with this number")
        return answer_file(request, found.encode(), LIST_TYPE)

    @router.get(did_path)
    async def did(request: Request, service: CertificatesDep) -> Response:
        document = JSONResponse(await service.build_did_document())
        return answer_file(request, bytes(document.body), "application/did+json")


async def listed_certificate(service: CertificatesDep, code: str) -> IssuedCertificate:
    """Provides a certificate that its holder shows. Raises the same problem, 404, for one that is not listed as for
    none."""
    found = await service.reads.find(code)
    if found is None or not found.listed:
        raise Problem(404, "no certificate that is shown to everybody has this code")
    return found


ListedDep = Annotated[IssuedCertificate, Depends(listed_certificate)]


def answer_file(request: Request, content: bytes, media_type: str) -> Response:
    """Returns public JSON, which programs of any website may read and keep for some minutes."""
    headers = {"ETag": tag_content(content)} | FRESH | ANYWHERE
    return answer_unchanged(request, headers) or Response(content, 200, headers, media_type)


def wants_json(request: Request) -> bool:
    """Returns whether the client asks for JSON, as no browser does."""
    accepted = request.headers.get("accept", "")
    return "json" in accepted and "html" not in accepted


def _public_route(templates: Templates) -> type[APIRoute]:
    """Builds a class of routes that no search engine lists, and whose problems are pages, or JSON for programs."""

    class Public(APIRoute):
        def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
            handler = super().get_route_handler()

            async def answer(request: Request) -> Response:
                try:
                    response = await handler(request)
                except RequestValidationError:
                    response = show_problem(templates, request, Problem(404, "there is no such address"))
                except HTTPException as error:
                    response = show_problem(templates, request, error)
                except ProgressError as error:
                    response = show_problem(templates, request, to_problem(error))
                response.headers.update(NOINDEX)
                return response

            return answer

    return Public


def show_problem(templates: Templates, request: Request, error: HTTPException) -> Response:
    """Shows a problem to people as a page, which for a code that is unknown says how to check the link."""
    if wants_json(request):
        return problem_response(request, error)
    if error.status_code == 404:
        return templates.render("verify_unknown", 404, caller=None)
    return render_problem(templates, error)
