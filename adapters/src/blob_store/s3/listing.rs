//! A store's list of unfinished uploads.

use percent_encoding::percent_decode_str;
use quick_xml::{
    Reader,
    escape::resolve_predefined_entity,
    events::{BytesRef, Event},
};

/// The ids of the uploads of this very key. What makes no sense, or is cut off, holds no more.
pub(in crate::blob_store) fn uploads_of(key: &str, xml: &str) -> Vec<String> {
    let mut listing = Listing::default();
    let mut reader = Reader::from_str(xml);
    loop {
        match reader.read_event() {
            Ok(Event::Start(start)) => listing.enter(start.local_name().as_ref()),
            Ok(Event::End(_)) => listing.leave(),
            Ok(Event::Text(text)) => listing.text += &text.decode().unwrap_or_default(),
            Ok(Event::CData(text)) => listing.text += &String::from_utf8_lossy(&text),
            Ok(Event::GeneralRef(reference)) => listing.text.extend(resolved(&reference)),
            Ok(Event::Eof) | Err(_) => break,
            Ok(Event::Empty(_) | Event::Comment(_) | Event::Decl(_) | Event::PI(_) | Event::DocType(_)) => {}
        }
    }
    let is_escaped = listing.is_escaped;
    let is_of_key = |upload: &Upload| {
        upload.key == key
            || (is_escaped
                && percent_decode_str(&upload.key)
                    .decode_utf8()
                    .is_ok_and(|found| found == key))
    };
    let uploads = listing.uploads.into_iter().filter(is_of_key);
    uploads.map(|upload| upload.id).filter(|id| !id.is_empty()).collect()
}

#[derive(Debug, Default)]
struct Upload {
    key: String,
    id: String,
}

#[derive(Debug, Default)]
struct Listing {
    /// The names of the elements that are open.
    open: Vec<Vec<u8>>,
    text: String,
    upload: Upload,
    uploads: Vec<Upload>,
    is_escaped: bool,
}

impl Listing {
    fn enter(&mut self, name: &[u8]) {
        self.open.push(name.to_owned());
        self.text.clear();
    }

    fn leave(&mut self) {
        let text = std::mem::take(&mut self.text);
        let names: Vec<&[u8]> = self.open.iter().map(Vec::as_slice).collect();
        match names.as_slice() {
            [_, b"EncodingType"] => self.is_escaped = text == "url",
            [_, b"Upload", b"Key"] => self.upload.key = text,
            [_, b"Upload", b"UploadId"] => self.upload.id = text,
            [_, b"Upload"] => self.uploads.push(std::mem::take(&mut self.upload)),
            _ => {}
        }
        self.open.pop();
    }
}

/// What `&amp;` and the like stand for.
fn resolved(reference: &BytesRef<'_>) -> Option<String> {
    match reference.resolve_char_ref() {
        Ok(Some(char)) => Some(char.to_string()),
        Ok(None) | Err(_) => resolve_predefined_entity(&reference.decode().ok()?).map(str::to_owned),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_uploads_of_the_key_itself_are_found() {
        let xml = "<?xml version=\"1.0\"?>\n<ListMultipartUploadsResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">\
            <Bucket>b</Bucket><Prefix>a</Prefix>\
            <Upload><Key>a</Key><UploadId>one</UploadId><Owner><ID>x</ID></Owner></Upload>\n\
            <CommonPrefixes><Prefix>a</Prefix></CommonPrefixes>\
            <Upload><UploadId>t&amp;w&#111;</UploadId><Key>a</Key></Upload>\
            <Upload><Key>a.tar</Key><UploadId>other</UploadId></Upload>\
            <Upload><Key>a</Key></Upload>\
            <Upload><Key>a</Key><UploadId>cut";
        assert_eq!(uploads_of("a", xml), ["one", "t&wo"]);
    }

    #[test]
    fn keys_are_compared_as_they_are_meant() {
        for (key, found) in [
            ("a & b", "a &amp; b"),
            ("a<b", "<![CDATA[a<b]]>"),
            ("é %20", "&#xe9; %20"),
            (" blank ", " blank "),
        ] {
            let xml = format!("<x:R><x:Upload><x:Key>{found}</x:Key><x:UploadId>1</x:UploadId></x:Upload></x:R>");
            assert_eq!(uploads_of(key, &xml), ["1"], "{key}");
        }
        let xml = "<R><EncodingType>url</EncodingType><Upload><Key>a%20b</Key><UploadId>1</UploadId></Upload></R>";
        assert_eq!(uploads_of("a b", xml), ["1"]);
        assert_eq!(uploads_of("a b", &xml.replace("url", "")), [""; 0]);
    }

    #[test]
    fn what_is_no_list_holds_nothing() {
        for xml in ["", "<html><Upload>", "nonsense", "<R></Upload></R>", "<R/>", "\0<<>&&;"] {
            assert_eq!(uploads_of("a", xml), [""; 0], "{xml:?}");
        }
    }
}
