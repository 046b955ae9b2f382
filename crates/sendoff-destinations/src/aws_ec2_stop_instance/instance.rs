//! The name of an instance: an id, or an ARN that names region and account too.

use crate::shared::aws;

/// One instance in its region.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Instance {
    pub(super) region: String,
    pub(super) id: String,
}

/// Reads an id or an ARN; `region` is what the row says, `home` the setting.
///
/// # Errors
/// What is wrong with it.
pub(super) fn read(text: &str, region: Option<&str>, home: &str) -> Result<Instance, String> {
    let (id, region) = match text.strip_prefix("arn:") {
        None => (text, region.unwrap_or(home)),
        Some(arn) => arn_parts(arn).ok_or("is the ARN of something else than an instance")?,
    };
    if !is_id(id) {
        return Err("is no instance id such as i-0123456789abcdef0".to_owned());
    }
    let region = aws::region(region).map_err(|_| "stands in no region of AWS".to_owned())?;
    Ok(Instance { region, id: id.to_owned() })
}

/// `aws:ec2:us-east-1:123456789012:instance/i-0123456789abcdef0`: id and region.
fn arn_parts(arn: &str) -> Option<(&str, &str)> {
    let mut parts = arn.splitn(5, ':');
    let (_, service, region) = (parts.next()?, parts.next()?, parts.next()?);
    let resource = parts.nth(1)?;
    let id = resource.strip_prefix("instance/")?;
    (service == "ec2").then_some((id, region))
}

/// `i-` and 8 or 17 hexadecimal digits
/// (<https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/resource-ids.html>).
pub(super) fn is_id(text: &str) -> bool {
    let Some(digits) = text.strip_prefix("i-") else { return false };
    (8..=17).contains(&digits.len())
        && digits.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn instance(region: &str, id: &str) -> Result<Instance, String> {
        Ok(Instance { region: region.into(), id: id.into() })
    }

    #[test]
    fn an_id_stands_in_the_rows_region_or_at_home() {
        let id = "i-0123456789abcdef0";
        assert_eq!(read(id, None, "us-east-1"), instance("us-east-1", id));
        assert_eq!(read(id, Some("eu-west-1"), "us-east-1"), instance("eu-west-1", id));
        let arn = format!("arn:aws:ec2:ap-south-1:123456789012:instance/{id}");
        assert_eq!(read(&arn, Some("eu-west-1"), "us-east-1"), instance("ap-south-1", id));
        assert_eq!(read("i-01234567", None, "us-east-1"), instance("us-east-1", "i-01234567"));
    }

    #[test]
    fn what_is_no_instance_is_named_and_never_sent() {
        for wrong in [
            "",
            "i-",
            "i-123",
            "i-0123456789ABCDEF0",
            "vol-0123456789abcdef0",
            "i-01234567&Action=TerminateInstances",
            "arn:aws:ec2:us-east-1:1:volume/vol-01234567",
            "arn:aws:s3:us-east-1:1:instance/i-01234567",
            "arn:aws:ec2:evil.example/:1:instance/i-01234567",
        ] {
            assert!(read(wrong, None, "us-east-1").is_err(), "{wrong}");
        }
        assert!(read("i-01234567", Some("a/b"), "us-east-1").is_err());
    }
}
